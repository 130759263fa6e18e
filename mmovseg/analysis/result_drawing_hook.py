"""Pictures of results while a data set is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from ..apis.images import load_image, write_png
from ..apis.results import TASKS, read_result


class ResultDrawingHook(Hook):
    """Draw the results of every test image.

    Args:
        out_dir: Folder for ``<image name>.png``; None writes nothing.
        show: Show each picture in a window, until a key is pressed.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``; None takes the first of
            them that the model gives.
    """

    def __init__(
        self,
        out_dir: str | Path | None = None,
        *,
        show: bool = False,
        task: str | None = None,
    ) -> None:
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.show = show
        self.task = task

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[BaseDataElement] | None = None,
    ) -> None:
        """Draw a batch."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        vocabulary = model.vocabulary
        for sample in outputs or ():
            found = [x for x in TASKS if f'pred_{_FIELDS[x]}' in sample]
            if not found:
                raise ValueError(
                    'There is no result to draw: switch panoptic, instance or semantic '
                    'on in model.fusion.'
                )
            task = self.task or found[0]
            result = read_result(
                sample, task, vocabulary.names, is_thing=vocabulary.is_thing
            )
            image = load_image(sample.img_path)[..., ::-1]  # BGR to RGB
            drawing = result.draw(image)
            name = Path(sample.img_path).stem
            if self.out_dir is not None:
                write_png(self.out_dir / f'{name}.png', drawing)
            if self.show:
                runner.visualizer.show(drawing, win_name=name, wait_time=0)


_FIELDS = dict(panoptic='panoptic_seg', instance='instances', semantic='sem_seg')
