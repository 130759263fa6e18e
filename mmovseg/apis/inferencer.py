"""From photos and names to segments."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from PIL import Image
from rich.progress import track
from torch import nn

from ..registry import INFERENCERS
from ..vocabulary import Vocabulary
from .config import load_config
from .heatmaps import draw_heatmaps, find_labels
from .images import (
    ImageError,
    array_to_bgr,
    find_images,
    load_image,
    pil_to_bgr,
    write_png,
)
from .init_model import init_model
from .photo_pipeline import Photo, PhotoPipeline, find_pipeline
from .results import TASKS, Result, read_result


class _Outcome(NamedTuple):
    name: str
    sample: BaseDataElement
    result: Result
    heatmaps: np.ndarray | None  # RGB


@INFERENCERS.register_module()
class OVSegInferencer(BaseInferencer):
    """Segment photos into classes given by name.

    Args:
        model: Path or packaged name of a config, a loaded config, or a model with its
            config in ``cfg``, as :func:`init_model` builds it.
        weights: Checkpoint; see :func:`init_model`.
        device: None takes a GPU if there is one.
        vocabulary: The classes; see :meth:`set_vocabulary`. None keeps the model's.
        cfg_options: Values of the config to change, by dotted name.
        allow_missing: See :func:`init_model`.
        trust_checkpoint: See :func:`init_model`.
        show_progress: Show a progress bar.

    Raises:
        FileNotFoundError: If the config or the weights do not exist.
        ValueError: If the config or the weights are wrong; see :func:`init_model`.

    Example:
        >>> inferencer = OVSegInferencer('eovseg_r50_coco', 'eovseg_r50.pth')
        >>> inferencer.set_vocabulary('person; man, dog, stuff: grass')
        >>> inferencer('photos/', out_dir='outputs')['predictions'][0]['segments']
    """

    forward_kwargs: set = {'task', 'heatmaps'}
    visualize_kwargs: set = set()
    postprocess_kwargs: set = set()

    def __init__(
        self,
        model: str | Path | Config | Mapping[str, Any] | nn.Module,
        weights: str | Path | None = None,
        *,
        device: str | torch.device | None = None,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        cfg_options: Mapping[str, Any] | None = None,
        allow_missing: Sequence[str] = (),
        trust_checkpoint: bool = False,
        show_progress: bool = True,
    ) -> None:
        self._built = model if isinstance(model, nn.Module) else None
        self._options = dict(
            allow_missing=allow_missing, trust_checkpoint=trust_checkpoint
        )
        if self._built is not None:
            if not hasattr(self._built, 'cfg'):
                raise TypeError(
                    'A model given as a module needs its config as model.cfg, as '
                    f'init_model leaves it; {type(self._built).__name__} has none.'
                )
            cfg = self._built.cfg
            device = device or next(self._built.parameters()).device
        else:
            cfg = load_config(model, cfg_options)
            if weights is None:
                warnings.warn(
                    'No weights: the results come from a model that has not been '
                    'trained.',
                    stacklevel=2,
                )
        init_default_scope(cfg.get('default_scope', 'mmovseg'))
        super().__init__(
            cfg, weights, device, scope='mmovseg', show_progress=show_progress
        )
        named = getattr(self.model, 'text_classifier', True) is not None
        if not (named and hasattr(self.model, 'set_vocabulary')):
            raise ValueError(
                f'{type(self.model).__name__} of this config names no segments: it is '
                'a stage of training. Take the config of the whole model.'
            )
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str]
    ) -> None:
        """Choose the classes of the next call, without rebuilding the model.

        Args:
            vocabulary: A vocabulary, a list of names, a packaged name, a path, or one
                string such as ``'person; man, dog, stuff: grass'``, where names are
                things unless marked.
        """
        if isinstance(vocabulary, str):
            vocabulary = Vocabulary.from_string(vocabulary)
        self.model.set_vocabulary(Vocabulary.load(vocabulary))

    def __call__(
        self,
        inputs: Any,
        batch_size: int = 1,
        *,
        task: str = 'panoptic',
        return_datasamples: bool = False,
        return_vis: bool = False,
        out_dir: str | Path = '',
        score_thr: float | None = None,
        show_heatmaps: str | Sequence[str] | None = None,
    ) -> dict[str, list]:
        """Segment photos; one that cannot be used does not stop the others.

        Args:
            inputs: A path, a folder, an array (see :func:`array_to_bgr`; BGR), a
                Pillow image, or a list of these.
            batch_size: Photos per step. The results are those of single photos; only
                photos of one size really share a step.
            task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
            return_datasamples: Return data samples, with all maps and masks.
            return_vis: Return the drawings too.
            out_dir: Write three files per photo; see :meth:`Result.save`.
            score_thr: See :func:`read_result`.
            show_heatmaps: Classes whose heatmaps are drawn next to the photo, for
                models that have some (DeOP), as ``NAME_heatmaps.png``; names as in
                :func:`find_labels`.

        Returns:
            ``predictions``: per photo :meth:`Result.to_dict` or a data sample, None
            where it could not be used. ``visualization``: per photo an RGB array
            (empty without ``return_vis``). ``heatmaps``: the same of heatmaps.
            ``errors``: per unusable photo a dict of ``input`` and ``message``.

        Raises:
            ImageError: If not a single photo can be used.
            ValueError: If there is no such task or class, or no heatmap.
        """
        if task not in TASKS:
            raise ValueError(f'task must be one of {TASKS}, got {task!r}.')
        if batch_size < 1:
            raise ValueError(f'batch_size must be at least 1, got {batch_size}.')
        sources = self._inputs_to_list(inputs)
        labels = find_labels(self.model.vocabulary, show_heatmaps or ())
        predictions: list[Any] = [None] * len(sources)
        drawings: list[np.ndarray | None] = [None] * len(sources)
        heatmaps: list[np.ndarray | None] = [None] * len(sources)
        errors: list[dict[str, str]] = []
        for photos in self._read_batches(sources, batch_size, errors):
            samples = self.forward(self.preprocess(photos), task, bool(labels))
            images = [photo.bgr[..., ::-1] for photo in photos]
            outcomes = [
                _Outcome(
                    photo.name,
                    sample,
                    self._read(sample, task, score_thr),
                    self._draw_heatmaps(image, sample, labels),
                )
                for photo, image, sample in zip(photos, images, samples, strict=True)
            ]
            drawn = self.visualize(images, outcomes) if return_vis else images
            found = self.postprocess(outcomes, drawn, return_datasamples)
            for i, photo in enumerate(photos):
                predictions[photo.index] = found[i]
                if return_vis:
                    drawings[photo.index] = drawn[i]
                    heatmaps[photo.index] = outcomes[i].heatmaps
                if out_dir:
                    _save(outcomes[i], images[i], out_dir)
        if len(errors) == len(sources):
            raise ImageError('\n'.join(error['message'] for error in errors))
        return dict(
            predictions=predictions,
            visualization=drawings if return_vis else [],
            heatmaps=heatmaps if return_vis and labels else [],
            errors=errors,
        )

    def preprocess(self, inputs: Sequence[Photo], **kwargs: Any) -> Any:
        """Run the test pipeline on photos and collate them."""
        return self.collate_fn([self.pipeline(photo) for photo in inputs])

    @torch.no_grad()
    def forward(
        self, inputs: Any, task: str = 'panoptic', heatmaps: bool = False
    ) -> list[BaseDataElement]:
        """Run the model, computing no other result than that of the task."""
        with _only(self.model, {task, 'heatmaps'} if heatmaps else {task}):
            return self.model.test_step(inputs)

    def visualize(
        self, inputs: Sequence[np.ndarray], preds: Sequence[_Outcome], **kwargs: Any
    ) -> list[np.ndarray]:
        """Draw results on RGB images."""
        return [x.result.draw(image) for image, x in zip(inputs, preds, strict=True)]

    def postprocess(
        self,
        preds: Sequence[_Outcome],
        visualization: Sequence[np.ndarray],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Return data samples or plain values."""
        if return_datasamples:
            return [x.sample for x in preds]
        return [x.result.to_dict(x.name) for x in preds]

    def _read(self, sample: BaseDataElement, task: str, thr: float | None) -> Result:
        vocabulary = self.model.vocabulary
        names, is_thing = vocabulary.names, vocabulary.is_thing
        return read_result(sample, task, names, is_thing=is_thing, score_thr=thr)

    def _draw_heatmaps(
        self, image: np.ndarray, sample: BaseDataElement, labels: Sequence[int]
    ) -> np.ndarray | None:
        names = self.model.vocabulary.names
        return draw_heatmaps(image, sample, labels, names) if labels else None

    def _inputs_to_list(self, inputs: Any) -> list[Any]:
        """Flatten inputs; the images of a folder take its place."""
        if not isinstance(inputs, (list, tuple)):
            inputs = [inputs]
        sources: list[Any] = []
        for item in inputs:
            if isinstance(item, (str, PathLike)) and Path(item).is_dir():
                try:
                    sources += find_images(item)
                except ImageError:
                    if len(inputs) == 1:
                        raise
                    sources.append(item)  # reported like any photo that fails
            else:
                sources.append(item)
        if not sources:
            raise ImageError('There is no photo to segment: the list is empty.')
        return sources

    def _read_batches(
        self, sources: Sequence[Any], batch_size: int, errors: list[dict[str, str]]
    ) -> Iterator[list[Photo]]:
        """Read photos a batch at a time; report those that cannot be used."""
        names = _make_names(sources)
        photos: list[Photo] = []
        steps = track(range(len(sources)), 'Inference', disable=not self.show_progress)
        for index in steps:
            try:
                bgr = _read_photo(sources[index])
            except ImageError as error:
                shown = names[index]
                if isinstance(sources[index], (str, PathLike)):
                    shown = str(sources[index])
                errors.append(dict(input=shown, message=f'{error}'))
                print_log(f'Skipped: {error}', logger='current', level=logging.ERROR)
            else:
                photos.append(Photo(index, names[index], bgr))
            if len(photos) == batch_size or (photos and index == len(sources) - 1):
                yield photos
                photos = []

    def _init_model(
        self, cfg: Config, weights: str | Path | None, device: str | torch.device
    ) -> nn.Module:
        """Build the model safely, or take the one that was given."""
        if self._built is not None:
            return self._built.to(device).eval()
        return init_model(cfg, weights, device, **self._options)

    def _init_pipeline(self, cfg: Config) -> PhotoPipeline:
        """Build the test pipeline without its loaders."""
        return PhotoPipeline(find_pipeline(cfg))

    def _init_collate(self, cfg: Config) -> Callable:
        """Stack nothing: photos of a batch may differ in size."""
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """There is none: results draw themselves."""


def _read_photo(source: Any) -> np.ndarray:
    if isinstance(source, (str, PathLike)):
        return load_image(source)
    if isinstance(source, np.ndarray):
        return array_to_bgr(source)
    if isinstance(source, Image.Image):
        return pil_to_bgr(source)
    raise ImageError(
        f'A photo is a path, a numpy array or a Pillow image, got {type(source)}.'
    )


def _make_names(sources: Sequence[Any]) -> list[str]:
    """Name the files of each photo; no two alike, whatever their folders."""
    names: list[str] = []
    for index, source in enumerate(sources):
        name = f'image_{index}'
        if isinstance(source, (str, PathLike)):
            name = Path(str(source)).stem
        taken = {x.lower() for x in names}  # some file systems ignore case
        unique, number = name, 2
        while unique.lower() in taken:
            unique, number = f'{name}_{number}', number + 1
        names.append(unique)
    return names


def _save(outcome: _Outcome, image: np.ndarray, folder: str | Path) -> None:
    outcome.result.save(folder, outcome.name, image)
    if outcome.heatmaps is not None:
        write_png(Path(folder) / f'{outcome.name}_heatmaps.png', outcome.heatmaps)


@contextmanager
def _only(model: nn.Module, results: set[str]) -> Iterator[None]:
    """Make the fusion compute nothing else; each result costs time and memory."""
    fusion = getattr(model, 'fusion', None)
    switches = (*TASKS, 'proposals', 'heatmaps')
    before = {x: getattr(fusion, x) for x in switches if hasattr(fusion, x)}
    try:
        for name in before:
            setattr(fusion, name, name in results)
        yield
    finally:
        for name, value in before.items():
            setattr(fusion, name, value)
