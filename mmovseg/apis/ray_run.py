"""Share a long work among the processes of a Ray cluster, as a Ray Data pipeline."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from ..progress import Progress

BATCH = 8  # items that a worker takes at once; few are done again when one dies
BLOCKS = 64  # parts of the work per worker
# Errors that the user can mend; others end the work with what Ray says.
TOLD = (ValueError, OSError, RuntimeError, ImportError)


def import_ray() -> ModuleType:
    """Import Ray with Ray Data.

    Raises:
        ImportError: If they are not installed; the message says how to.
    """
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')  # no telemetry
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            f"Ray Data is missing: pip install 'mmovseg[ray]' ({error})."
        ) from error
    return ray


class WorkError(RuntimeError):
    """What a worker has said about its end.

    Attributes:
        kind: Name of the class of the error.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _Actor:
    """A worker: built once in its process, then called with batches of items."""

    def __init__(
        self, make: Callable[..., Callable[[list[int]], None]], arguments: Sequence[Any]
    ) -> None:
        self.problem: tuple[str, str] | None = None
        try:
            self.work = make(*arguments)
        except TOLD as error:
            self.problem = type(error).__name__, str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list]:
        items = [int(x) for x in batch['item']]
        if self.problem is None:
            try:
                self.work(items)
            except TOLD as error:
                self.problem = type(error).__name__, str(error)
        kind, message = self.problem or ('', '')
        count = len(items)
        return dict(item=items, kind=[kind] * count, message=[message] * count)


def run_with_ray(
    make: Callable[..., Callable[[list[int]], None]],
    arguments: Sequence[Any],
    items: Sequence[int],
    *,
    workers: int,
    gpus: float = 0,
) -> None:
    """Do items in the processes of a cluster.

    The cluster is that of ``RAY_ADDRESS``, else one is started on this machine. When a
    process dies, Ray starts another one and gives it the batch again: ``make`` should
    return what leaves out items that are done.

    Args:
        make: A function of a module; called in each process with ``arguments``, it
            returns what does a batch of items.
        arguments: Can be pickled.
        items: Numbers of the items.
        workers: Processes.
        gpus: GPUs of each process.

    Raises:
        ImportError: If Ray is not installed.
        WorkError: If a worker cannot go on.
    """
    ray = import_ray()
    _start(ray, workers)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger('ray.data').setLevel(logging.ERROR)
    blocks = max(1, min(-(-len(items) // BATCH), BLOCKS * workers))
    rows = [dict(item=item) for item in items]
    done = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        _Actor,
        batch_size=BATCH,
        compute=ray.data.ActorPoolStrategy(size=workers),
        fn_constructor_args=(make, tuple(arguments)),
        num_gpus=gpus,
        num_cpus=1,
    )
    with Progress(len(items), 'Ray', 'photo') as progress:
        for batch in done.iter_batches(batch_size=None):
            for kind, message in zip(batch['kind'], batch['message'], strict=True):
                if kind:
                    raise WorkError(str(kind), str(message))
            progress.update(len(batch['item']))


def _start(ray: ModuleType, workers: int) -> None:
    """Connect to the cluster, or start one."""
    if ray.is_initialized():
        return
    # Actors of this machine should not wait for cores.
    cores = None if 'RAY_ADDRESS' in os.environ else workers + (os.cpu_count() or 1)
    try:
        ray.init(num_cpus=cores, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # some are of no other class
        raise RuntimeError(f'Ray cannot be started: {error}') from error
