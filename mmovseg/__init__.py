"""mmovseg: open-vocabulary segmentation for OpenMMLab."""

from typing import TYPE_CHECKING, Any

from .moved import install as _find_moved_modules
from .version import __version__

if TYPE_CHECKING:
    from .apis import OVSegInferencer

__all__ = ['__version__', 'load']

_find_moved_modules()


def load(name: str | None = None, **options: Any) -> 'OVSegInferencer':
    """Load a model by name, with its weights; see :func:`mmovseg.apis.load`."""
    from .apis import load  # imports torch, which the vocabularies do without

    return load(name, **options)
