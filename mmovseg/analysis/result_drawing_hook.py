"""Pictures of results while a data set is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from ..apis.images import load_image, write_png
from ..apis.output_folder import OutputFolder, describe_source, make_names
from ..apis.results import find_task, read_result


class ResultDrawingHook(Hook):
    """Draw the results of every test image.

    Args:
        out_dir: Folder for ``<image name>.png``; None writes nothing. See
            :class:`OutputFolder`.
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
        self.folder = None if out_dir is None else OutputFolder(out_dir, ['.png'])
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
            task = self.task or find_task(sample)
            result = read_result(
                sample, task, vocabulary.names, is_thing=vocabulary.is_thing
            )
            image = load_image(sample.img_path)[..., ::-1]  # BGR to RGB
            drawing = result.draw(image)
            (name,) = make_names([sample.img_path])
            if self.folder is not None:
                self._save(self.folder, name, sample.img_path, drawing)
            if self.show:
                runner.visualizer.show(drawing, win_name=name, wait_time=0)

    @staticmethod
    def _save(
        folder: OutputFolder, name: str, img_path: str, drawing: np.ndarray
    ) -> None:
        """Write a picture; other files of the same name stay."""
        folder.check_sources([img_path])
        with folder.claim(name, img_path) as name:
            path = folder.path / f'{name}.png'
            write_png(path, drawing, describe_source(img_path))
