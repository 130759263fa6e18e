"""One text tower for all parts of a model that ask for the same one.

A neck and a head of another package's model know nothing of each other, nor of the
model that is being built. So who builds is looked up on the call stack: it is the
outermost module whose constructor is running. Where there is none nothing is shared.
Models never share, since each loads weights, and goes to a device, separately.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Hashable

from torch import Tensor, nn

# By model: towers, which live as long as a part has them, and their temperatures.
_towers: weakref.WeakKeyDictionary[
    nn.Module, dict[Hashable, tuple[weakref.ref[nn.Module], Tensor]]
] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def find_or_make(
    key: Hashable, make: Callable[[], tuple[nn.Module, Tensor]]
) -> tuple[nn.Module, Tensor]:
    """Return what ``make`` gave for the model under construction, or call it.

    Args:
        key: What is the same in all that share.
        make: Called without arguments; returns a tower and its temperature.
    """
    root = find_root()
    if root is None:
        return make()
    with _lock:
        made = _towers.setdefault(root, {})
    # One thread builds a model.
    if key in made:
        reference, temperature = made[key]
        tower = reference()
        if tower is not None:
            return tower, temperature
    tower, temperature = make()
    made[key] = weakref.ref(tower), temperature
    return tower, temperature


def find_root() -> nn.Module | None:
    """Return the outermost module whose constructor is running in this thread."""
    root = None
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == '__init__':
            owner = frame.f_locals.get('self')
            root = owner if isinstance(owner, nn.Module) else root
        frame = frame.f_back  # type: ignore[assignment]
    return root
