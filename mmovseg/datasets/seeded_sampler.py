"""Sample order and per-sample seeds of a training run that can be resumed."""

from __future__ import annotations

from collections.abc import Iterator

from mmengine.dataset import InfiniteSampler

from mmovseg.registry import DATA_SAMPLERS


class SeededIndex(int):
    """An index into a dataset that carries the seed of its augmentation.

    Attributes:
        entropy: Run seed and position in the stream of all processes; None where
            the index did not come from a :class:`SeededSampler`.
    """

    entropy: tuple[int, int] | None = None


@DATA_SAMPLERS.register_module()
class SeededSampler(InfiniteSampler):
    """Yield shuffled indices without end, each with its own seed.

    The seed depends on the run's seed and on the position in the stream only, not
    on the worker process that loads the sample nor on what it loaded before.
    :class:`mmovseg.transforms.SeedSample`, first in the pipeline, applies
    it. MMEngine's training loop skips what a resumed run has seen already.
    Arguments are those of :class:`mmengine.dataset.InfiniteSampler`.
    """

    def _indices_of_rank(self) -> Iterator[int]:
        for step, value in enumerate(super()._indices_of_rank()):
            index = SeededIndex(value)
            index.entropy = (self.seed, step * self.world_size + self.rank)
            yield index
