"""The run card of an evaluation."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..apis.fast_mode import count_first_runs
from . import run_card

WARMUP_BATCHES = 5


class RunCardHook(Hook):
    """Time the model while it is evaluated, and write ``results.json``.

    The card holds the metrics with their conventions, what was run (config,
    vocabularies, checkpoint, code) and where. It is written after the metrics, whole
    or not at all, by the first process, into the work folder.

    The model's time runs from the preprocessing of a batch to its results, fusion
    included; reading images and metrics are not in it. The first five batches do not
    count, or all but one if there are fewer: they tune kernels. In the fast mode with
    a compiled program the first batch of every shape does not either. With several
    processes it is the mean of one of them.

    Args:
        checkpoint: File or URL of the weights.
        config: Name of the config.
        config_hash: Its :func:`~mmovseg.analysis.run_card.hash_config`, taken of the
            config as loaded.
        options: ``--cfg-options``.
    """

    priority = 'VERY_LOW'

    def __init__(
        self,
        checkpoint: str,
        *,
        config: str,
        config_hash: str,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.config = dict(name=config, options=options or {}, sha256=config_hash)
        self._images, self._seconds, self._skipped = 0, 0.0, 0
        self._processor = self._batch_processor = 0.0
        self._first_runs, self._is_first = 0, False
        self._start = self._batch_start = self._batch_seconds = 0.0
        self._handles: list[Any] = []
        self.content: dict[str, Any] | None = None

    def before_test(self, runner: Runner) -> None:
        """Start the clocks."""
        model = _unwrap(runner)
        self._images, self._seconds, self._skipped = 0, 0.0, 0
        self._processor = 0.0
        self._handles = [
            model.data_preprocessor.register_forward_pre_hook(self._begin),
            model.register_forward_hook(self._end),
        ]
        self._start = time.perf_counter()

    def _begin(self, *_: Any) -> None:
        self._batch_start = _clock()
        self._batch_processor = -time.process_time()

    def _end(self, model: Any, *_: Any) -> None:
        self._batch_seconds = _clock() - self._batch_start
        self._batch_processor += time.process_time()
        before, self._first_runs = self._first_runs, count_first_runs(model)
        self._is_first = self._first_runs > before

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Count a batch."""
        if batch_idx < _count_warmup(runner) or self._is_first:
            self._skipped += 1
            return
        self._images += len(outputs or ())
        self._seconds += self._batch_seconds
        self._processor += self._batch_processor

    def after_test_epoch(
        self, runner: Runner, metrics: Mapping[str, float] | None = None
    ) -> None:
        """Write the card."""
        seconds = time.perf_counter() - self._start
        for handle in self._handles:
            handle.remove()
        counts = all_gather_object((self._images, self._seconds, self._processor))
        if not is_main_process():
            return
        metrics = dict(metrics or {})
        speed = self._describe_speed(runner, counts)
        card = dict(
            format=run_card.CARD_FORMAT,
            date=datetime.datetime.now(datetime.timezone.utc).isoformat('T', 'seconds'),
            metrics=metrics,
            conventions=collect_conventions(runner.test_evaluator.metrics, metrics),
            images=len(runner.test_dataloader.dataset),
            seconds=round(seconds, 3),
            fps=speed,
            **self._describe_run(_unwrap(runner)),
        )
        self.content = card
        path = Path(runner.work_dir) / run_card.CARD_NAME
        run_card.write_card(path, card)
        print_log(
            f'{card["images"]} images in {seconds:.1f} s; the model alone: '
            f'{speed["images_per_second"]:.2f} images/s (batch {speed["batch_size"]}, '
            f'{speed["dtype"]}). Run card: {path}',
            logger='current',
        )

    def _describe_run(self, model: Any) -> dict[str, Any]:
        vocabularies = {
            name: run_card.describe_vocabulary(getattr(model, attribute))
            for name, attribute in (
                ('test', 'vocabulary'),
                ('train', 'train_vocabulary'),
            )
            if hasattr(model, attribute)
        }
        return dict(
            config=self.config,
            checkpoint=run_card.describe_checkpoint(self.checkpoint, model),
            model=run_card.describe_model(model),
            vocabularies=vocabularies,
            **run_card.describe_place(),
        )

    def _describe_speed(
        self, runner: Runner, counts: Sequence[tuple[int, float, float]]
    ) -> dict[str, Any]:
        images, seconds, processor = map(sum, zip(*counts, strict=True))
        parameter = next(_unwrap(runner).parameters())
        dtype = str(parameter.dtype).removeprefix('torch.')
        if getattr(runner.test_loop, 'fp16', False):
            dtype = 'float16 (autocast)'
        fast = getattr(_unwrap(runner), 'fast_mode', None)
        if fast is not None and fast.dtype is not None:
            dtype = f'{str(fast.dtype).removeprefix("torch.")} (autocast)'
        # A loader with a batch sampler says None.
        loader = runner.test_dataloader
        batch_size = loader.batch_size or loader.batch_sampler.batch_size
        return dict(
            images_per_second=images / seconds if seconds else float('nan'),
            # Other work on the machine does not change it.
            processor_ms_per_image=1000 * processor / images if images else None,
            images=images,
            warmup_batches=self._skipped,
            batch_size=batch_size,
            dtype=dtype,
            fast=list(fast.parts) if fast is not None else [],
            plain=getattr(_unwrap(runner), 'plain', False),
            device=str(parameter.device.type),
        )


def collect_conventions(
    metrics: Sequence[Any], names: Mapping[str, float]
) -> dict[str, str]:
    """Say how the reported numbers are defined, where the metrics know it.

    Args:
        metrics: Of an evaluator. Ours have ``conventions``: name to definition.
        names: The reported numbers, with prefixes.
    """
    found = {}
    for metric in metrics:
        for name, meaning in getattr(metric, 'conventions', {}).items():
            full = f'{metric.prefix}/{name}' if metric.prefix else name
            if full in names:
                found[full] = meaning
    return found


def _count_warmup(runner: Runner) -> int:
    return min(WARMUP_BATCHES, len(runner.test_dataloader) - 1)


def _unwrap(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _clock() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
