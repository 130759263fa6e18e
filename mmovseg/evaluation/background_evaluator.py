"""Metrics in a thread next to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric, Evaluator

from ..background_worker import BackgroundWorker
from ..registry import EVALUATOR


@EVALUATOR.register_module()
class BackgroundEvaluator(Evaluator):
    """Compute the metrics of a batch while the model works on the next ones.

    One thread does it, in order, so the metrics are those of MMEngine's ``Evaluator``.

    Args:
        metrics: Metrics or their configs.
        limit: Batches that may wait; with more, the model waits.
    """

    def __init__(
        self, metrics: dict | BaseMetric | Sequence[dict | BaseMetric], limit: int = 2
    ) -> None:
        super().__init__(metrics)
        self._background = BackgroundWorker(limit)

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Take a batch; raise what went wrong with an earlier one."""
        self._background.run(super().process, data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, Any]:
        """Wait for all batches and compute the metrics."""
        self._background.wait()
        return super().evaluate(size)
