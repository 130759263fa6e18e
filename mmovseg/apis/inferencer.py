"""From photos and names to segments."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from torch import nn

from ..background_worker import BackgroundWorker
from ..models import ops
from ..registry import INFERENCERS
from ..vocabulary import Vocabulary
from . import zoo
from .config import load_config
from .encoded_photo import EncodedPhoto, encode_photo, segment_encoded
from .fast_mode import make_fast, warm_up
from .heatmaps import draw_heatmaps, find_labels
from .hub import HubMixin
from .images import ImageError, is_folder, list_sources
from .init_model import init_model
from .output_folder import make_names, open_folder
from .photo_loader import PhotoLoader, report
from .photo_pipeline import Photo, PhotoPipeline, find_pipeline
from .photo_stream import (
    LoadedPhoto,
    batch_by_size,
    load_photos,
    make_failed,
    run_batch,
)
from .results import TASKS, Result, check_limits, find_task, read_result

# Inferencers of the packages whose models ours does not run.
FOREIGN = {
    'mmseg': 'mmseg.apis.MMSegInferencer',
    'mmdet': 'mmdet.apis.DetInferencer',
    'mmpretrain': 'mmpretrain.apis',
}


@INFERENCERS.register_module()
class OVSegInferencer(HubMixin, BaseInferencer):
    """Segment photos into classes given by name.

    Several threads may call one inferencer: a call keeps the vocabulary and the options
    that it started with. A copy, also one in another process, is independent.

    Args:
        model: Name of a model with weights (see :func:`mmovseg.load`), path or packaged
            name of a config, a loaded config, or a model with its config in ``cfg``,
            as :func:`init_model` builds it.
        weights: Checkpoint; see :func:`init_model`. None takes those of the name.
        device: None takes a GPU if there is one.
        vocabulary: The classes; see :meth:`set_vocabulary`. None keeps the model's.
        cfg_options: Values of the config to change, by dotted name.
        allow_missing: See :func:`init_model`.
        trust_checkpoint: See :func:`init_model`.
        show_progress: Show how far a call is: a bar in a terminal, lines in a log.
        fast: True, or parts of the fast mode: less time, results a little different;
            see :func:`make_fast` and docs/performance.md. False keeps a given model as
            it is.
        keep_names: Let CLIP choose so many names that a photo may show, and leave the
            others out, for long lists; see :class:`PresenceFilter`. None keeps all of
            them, and a given model as it is.
        plain: Run every operation as its formula says in the calls of this
            inferencer; see :func:`init_model`. A given model is not changed.
        num_workers: Threads that read and resize photos while the model computes.

    Raises:
        FileNotFoundError: If the config or the weights do not exist, or the weights
            have to be fetched by hand first.
        DownloadError: If the weights cannot be fetched; it is an OSError.
        ValueError: If the config or the weights are wrong (see :func:`init_model`),
            parts of the fast mode or ``keep_names`` cannot be had, ``plain`` is asked
            for with the fast mode, or ``num_workers`` is below 1.

    Example:
        >>> from mmovseg.shapeworld.drawing import draw_numbered
        >>> inferencer = OVSegInferencer(
        ...     'eovseg_tiny_shapeworld', 'shapeworld', show_progress=False)
        >>> inferencer.set_vocabulary('purple circle, red cross, stuff: sand')
        >>> photo = draw_numbered(0, 'val', 5, 192).image[..., ::-1]
        >>> result = inferencer(photo)['predictions'][0]
        >>> sorted({segment['name'] for segment in result['segments']})
        ['purple circle', 'red cross', 'sand']
    """

    forward_kwargs: set = {'task', 'heatmaps', 'vocabulary'}
    visualize_kwargs: set = set()
    postprocess_kwargs: set = {'return_datasamples'}

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
        fast: bool | Sequence[str] = False,
        keep_names: int | None = None,
        plain: bool = False,
        num_workers: int = 4,
    ) -> None:
        if num_workers < 1:
            raise ValueError(f'num_workers must be at least 1, got {num_workers}.')
        self.num_workers = num_workers
        self._copies: torch.cuda.Stream | None = None
        self._built = model if isinstance(model, nn.Module) else None
        self._options: dict[str, Any] = dict(
            allow_missing=allow_missing, trust_checkpoint=trust_checkpoint
        )
        if self._built is not None:
            if not hasattr(self._built, 'cfg'):
                raise TypeError(
                    'A model given as a module needs its config as model.cfg, as '
                    f'init_model leaves it; {type(self._built).__name__} has none.'
                )
            cfg: Any = self._built.cfg
            device = device or next(self._built.parameters()).device
        else:
            if isinstance(model, str) and weights is None:
                known = zoo.find_model(model)
                if known is not None:
                    model, weights = known.config, zoo.get_weights(known)
            cfg = load_config(model, cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmovseg'))
        super().__init__(
            cfg, weights, device, scope='mmovseg', show_progress=show_progress
        )
        untrained = self._built is None and weights is None
        if untrained and not getattr(self.model, 'needs_no_training', False):
            warnings.warn(
                'No weights: the results come from a model that has not been trained. '
                f'{zoo.hint_at_weights(cfg)}',
                stacklevel=2,
            )
        _check_model(self.model)
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)
        if keep_names is not None:
            self.model.set_presence_filter(dict(num_names=keep_names))
        if fast is not False:
            make_fast(self.model, fast)
        if plain and self.model.fast_mode is not None:
            raise ValueError(
                'plain=True is the opposite of the fast mode, which this model is in: '
                'leave one of both out.'
            )
        self.plain = plain

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _copies=None)  # a stream is of this process

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str]
    ) -> None:
        """Choose the classes of the next call, without rebuilding the model.

        Args:
            vocabulary: A vocabulary, a list of names, a packaged name, a path, or one
                string such as ``'person; man, dog, stuff: grass'``, where names are
                things unless marked; see :meth:`Vocabulary.from_user`.
        """
        self.model.set_vocabulary(Vocabulary.from_user(vocabulary))

    def add_examples(self, name: str, examples: Iterable[tuple[Any, Any]]) -> None:
        """Show the model a class by pictures, from the next call on.

        Args:
            name: A class of the vocabulary that is set.
            examples: Pairs of an image and a mask; see
                :meth:`Vocabulary.add_examples`.

        Raises:
            TypeError: If it is no list of pairs.
            ValueError: If there is no such class, or an example cannot be used.
        """
        self.set_vocabulary(self.model.vocabulary.add_examples(name, examples))

    def warm_up(
        self, sizes: Sequence[tuple[int, int]], batch_sizes: Sequence[int] = (1,)
    ) -> None:
        """Do what takes long the first time: encode names, compile, record graphs.

        Args:
            sizes: Height and width of photos to come, in pixels.
            batch_sizes: Photos per step. The last step of a size may have any number.

        Raises:
            ValueError: If a size or a batch size is not positive.
        """
        if any(len(size) != 2 or min(size) < 1 for size in sizes):
            raise ValueError(f'Sizes are height and width in pixels, got {sizes}.')
        inputs = [
            self.pipeline(Photo(0, '', np.zeros((*size, 3), np.uint8)))['inputs']
            for size in sizes
        ]
        warm_up(self.model, [tuple(x.shape[-2:]) for x in inputs], batch_sizes)

    def __call__(
        self,
        inputs: Any,
        batch_size: int = 1,
        *,
        task: str = 'panoptic',
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        return_datasamples: bool = False,
        return_vis: bool = False,
        out_dir: str | Path = '',
        score_thr: float | None = None,
        min_area: float = 0.0,
        show_heatmaps: str | Sequence[str] | None = None,
    ) -> dict[str, list]:
        """Segment photos; one that cannot be used does not stop the others.

        Args:
            inputs: A path, a folder, an array (see :func:`array_to_bgr`; BGR), a
                Pillow image, or a list of these.
            batch_size: Photos per step. Only photos of one padded size share a step,
                so the results are those of single photos up to rounding. The next
                photos are searched for such, so the order of steps is not that of the
                inputs; the order of everything returned is.
            task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
            vocabulary: The classes of this call, as in :meth:`set_vocabulary`; None
                takes those that were set when it starts.
            return_datasamples: Return data samples, with all maps and masks.
            return_vis: Return the drawings too.
            out_dir: Write three files per photo; see :meth:`Result.save` and
                :class:`OutputFolder`. No file is overwritten but the results of the
                same photo file.
            score_thr: See :func:`read_result`.
            min_area: The same.
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
            OutputError: If results cannot be written to ``out_dir``, or the photos
                are in it.
            ValueError: If there is no such task or class, or no heatmap.
        """
        _check(task, batch_size, min_area, score_thr)
        sources = self._inputs_to_list(inputs)
        chosen = self._choose(vocabulary)
        labels = find_labels(chosen, show_heatmaps or ())
        predictions: list[Any] = [None] * len(sources)
        drawings: list[np.ndarray | None] = [None] * len(sources)
        heatmaps: list[np.ndarray | None] = [None] * len(sources)

        def finish(photo: Photo, sample: BaseDataElement) -> None:
            image = photo.bgr[..., ::-1]
            result = _read(sample, task, chosen, score_thr, min_area)
            name, drawn = photo.name, None
            if labels:
                drawn = draw_heatmaps(image, sample, labels, chosen.names)
            if folder is not None:
                name = folder.save(name, sources[photo.index], image, result, drawn)
            value = sample if return_datasamples else result.to_dict(name)
            predictions[photo.index] = value
            if return_vis:
                drawings[photo.index] = result.draw(image)
                heatmaps[photo.index] = drawn

        def compute(batch: Any) -> list[BaseDataElement]:
            return self.forward(batch, task, bool(labels), chosen)

        with open_folder(out_dir, sources) as folder:
            names = make_names(sources, folder)
            errors = self._run(sources, names, batch_size, compute, finish)
        if len(errors) == len(sources):
            raise ImageError('\n'.join(error['message'] for error in errors))
        return dict(
            predictions=predictions,
            visualization=drawings if return_vis else [],
            heatmaps=heatmaps if return_vis and labels else [],
            errors=errors,
        )

    def encode(self, photo: Any, name: str | None = None) -> EncodedPhoto:
        """Encode a photo once, to segment it with several lists of names.

        Where the model allows it (EOV-Seg, FC-CLIP, DeOP and training-free models,
        without ``fast``), :meth:`segment` then runs what depends on the names alone.

        Args:
            photo: A path or URL, an array (BGR) or a Pillow image.
            name: What messages and files call it; None takes that of its file.

        Returns:
            What :meth:`segment` of this inferencer takes in place of the photo. It
            keeps the feature maps, often 100 MB, in the memory of the model's device.

        Raises:
            ImageError: If the photo cannot be used.

        Example:
            >>> import mmovseg
            >>> from mmovseg.shapeworld.drawing import draw_numbered
            >>> model = mmovseg.load('tiny', show_progress=False)
            >>> photo = model.encode(draw_numbered(0, 'val', 5, 192).image[..., ::-1])
            >>> for names in ('purple circle, stuff: sand', 'red cross, stuff: sand'):
            ...     result = model.segment(photo, names)
            ...     print(sorted({segment.name for segment in result.segments}))
            ['purple circle', 'sand']
            ['red cross', 'sand']
        """
        names = make_names([photo]) if name is None else [name]
        with closing(load_photos([photo], names, self.pipeline)) as found:
            loaded = next(found)
        if not isinstance(loaded, LoadedPhoto):
            raise ImageError(loaded.message)
        return encode_photo(
            self.model,
            self.collate_fn([loaded.data]),
            loaded.photo,
            _find_path(photo),
            plain=self.plain,
        )

    def segment(
        self,
        inputs: Any,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        *,
        task: str = 'panoptic',
        score_thr: float | None = None,
        min_area: float = 0.0,
        top_classes: bool = False,
    ) -> Any:
        """Segment a photo, or several, into classes given by name.

        Args:
            inputs: A path or URL, an array (BGR) or a Pillow image; or a folder, or a
                list of these; or what :meth:`encode` returns.
            vocabulary: The classes, as in :meth:`set_vocabulary`.
            task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
            score_thr: See :func:`read_result`.
            min_area: The same.
            top_classes: Find the most likely classes of every pixel too, with their
                probabilities; see :class:`Result`.

        Returns:
            A :class:`Result`. Of a folder or a list, a list of them, with None for
            photos that cannot be used.

        Raises:
            ImageError: If the photo, or every photo, cannot be used.
            ValueError: If there is no such task, or a name is wrong.

        Example:
            >>> import mmovseg
            >>> from mmovseg.shapeworld.drawing import draw_numbered
            >>> photo = draw_numbered(0, 'val', 5, 192).image[..., ::-1]  # or a path
            >>> model = mmovseg.load('tiny', show_progress=False)
            >>> names = 'purple circle, red cross, stuff: sand'
            >>> result = model.segment(photo, names)
            >>> sorted({segment.name for segment in result.segments})
            ['purple circle', 'red cross', 'sand']
        """
        if isinstance(inputs, EncodedPhoto):
            _check(task, 1, min_area, score_thr)
            chosen = self._choose(vocabulary)
            names = _list_results(task, top_classes=top_classes)
            sample = segment_encoded(
                self.model, inputs, chosen, names, plain=self.plain
            )
            result = _read(sample, task, chosen, score_thr, min_area)
            return _keep_photo(result, inputs.photo, inputs.path)
        sources = self._inputs_to_list(inputs)
        results: list[Result | None] = [None] * len(sources)
        errors = self.for_each(
            sources,
            results.__setitem__,
            vocabulary=vocabulary,
            task=task,
            score_thr=score_thr,
            min_area=min_area,
            top_classes=top_classes,
        )
        if len(errors) == len(sources):
            raise ImageError('\n'.join(error['message'] for error in errors))
        many = isinstance(inputs, (list, tuple)) or is_folder(inputs)
        return results if many else results[0]

    def for_each(
        self,
        inputs: Any,
        handle: Callable[[int, Result], None],
        batch_size: int = 1,
        *,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        task: str = 'panoptic',
        score_thr: float | None = None,
        min_area: float = 0.0,
        top_classes: bool = False,
    ) -> list[dict[str, str]]:
        """Segment photos and hand over every result at once: nothing is kept.

        Args:
            inputs: As in :meth:`segment`.
            handle: Called with the number of the photo and its :class:`Result`, in a
                thread next to that of the model, one call at a time. What it raises
                ends the work.
            batch_size: As in a call.
            vocabulary: As in :meth:`segment`.
            task: The same.
            score_thr: The same.
            min_area: The same.
            top_classes: The same.

        Returns:
            Per unusable photo a dict of ``input`` and ``message``.
        """
        _check(task, batch_size, min_area, score_thr)
        sources = self._inputs_to_list(inputs)
        chosen = self._choose(vocabulary)

        def finish(photo: Photo, sample: BaseDataElement) -> None:
            result = _read(sample, task, chosen, score_thr, min_area)
            path = _find_path(sources[photo.index])
            handle(photo.index, _keep_photo(result, photo, path))

        names = make_names(sources)

        def compute(batch: Any) -> list[BaseDataElement]:
            return self.forward(batch, task, False, chosen, top_classes)

        return self._run(sources, names, batch_size, compute, finish)

    def _run(
        self,
        sources: Sequence[Any],
        names: Sequence[str],
        batch_size: int,
        compute: Callable[[Any], list[BaseDataElement]],
        finish: Callable[[Photo, BaseDataElement], None],
    ) -> list[dict[str, str]]:
        """Run the model on all photos; return those that cannot be used."""
        errors: list[dict[str, str]] = []

        def fail(photo: Photo, error: Exception) -> None:
            report(make_failed(sources[photo.index], photo.name, error), errors)

        def finish_or_fail(photo: Photo, sample: BaseDataElement) -> None:
            try:
                finish(photo, sample)
            except MemoryError as error:
                fail(photo, error)

        divisor = getattr(self.model.data_preprocessor, 'pad_size_divisor', 1)
        loader = self._make_loader()

        def load_and_compute(batch: Sequence[LoadedPhoto]) -> list[BaseDataElement]:
            return compute(loader.collate(batch))

        with (
            # Or threads and the progress bar would outlive an error.
            closing(loader.load(sources, names, batch_size, errors)) as loaded,
            BackgroundWorker(2 * batch_size) as background,
        ):
            for batch in batch_by_size(loaded, batch_size, divisor):
                for photo, sample in run_batch(batch, load_and_compute, fail):
                    background.run(finish_or_fail, photo, sample)
        return errors

    @torch.no_grad()
    def forward(
        self,
        inputs: Any,
        task: str = 'panoptic',
        heatmaps: bool = False,
        vocabulary: Vocabulary | None = None,
        top_classes: bool = False,
    ) -> list[BaseDataElement]:
        """Run the model, computing no other result than that of the task."""
        results = _list_results(task, heatmaps=heatmaps, top_classes=top_classes)
        with ops.plain(self.plain):
            return self.model.test_step(inputs, vocabulary=vocabulary, results=results)

    def preprocess(
        self, inputs: Any, batch_size: int = 1, **kwargs: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield batches as :meth:`forward` takes them, in order.

        Photos that cannot be used are left out and logged.

        Args:
            inputs: As in a call.
            batch_size: Photos per batch.
            kwargs: There are none.
        """
        sources, loader = self._inputs_to_list(inputs), self._make_loader()
        photos = loader.load(sources, make_names(sources), batch_size, [])
        with closing(photos):
            while batch := list(islice(photos, batch_size)):
                yield loader.collate(batch)

    def visualize(
        self,
        inputs: Sequence[np.ndarray],
        preds: Sequence[BaseDataElement],
        **kwargs: Any,
    ) -> list[np.ndarray]:
        """Draw what :meth:`forward` returns on RGB images."""
        pairs = zip(inputs, preds, strict=True)
        chosen = self.model.vocabulary
        return [_read(x, find_task(x), chosen).draw(image) for image, x in pairs]

    def postprocess(
        self,
        preds: Sequence[BaseDataElement],
        visualization: Sequence[np.ndarray] | None = None,
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Return what :meth:`forward` returns, or plain values of it."""
        if return_datasamples:
            return list(preds)
        return [
            _read(x, find_task(x), self.model.vocabulary).to_dict(x.get('img_path', ''))
            for x in preds
        ]

    def _choose(
        self, vocabulary: Vocabulary | str | Path | Sequence[str] | None
    ) -> Vocabulary:
        """Return the classes of a call."""
        if vocabulary is None:
            return self.model.vocabulary
        return Vocabulary.from_user(vocabulary)

    def _inputs_to_list(self, inputs: Any) -> list[Any]:
        """Flatten inputs; the images of a folder take its place."""
        return list_sources(inputs)

    def _make_loader(self) -> PhotoLoader:
        return PhotoLoader(
            self.pipeline,
            self.collate_fn,
            self._find_copies(),
            num_workers=self.num_workers,
            show_progress=self.show_progress,
        )

    def _find_copies(self) -> torch.cuda.Stream | None:
        """Return the stream of a GPU on which photos come while the model computes."""
        device = next(self.model.parameters()).device
        if device.type != 'cuda':
            return None
        copies = self._copies
        if copies is None or copies.device != device:
            # Kept, as memory is kept for each stream.
            copies = self._copies = torch.cuda.Stream(device)
        return copies

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


def _list_results(
    task: str, *, heatmaps: bool = False, top_classes: bool = False
) -> list[str]:
    """Return what the fusion has to make."""
    extra = dict(heatmaps=heatmaps, top_classes=top_classes)
    return [task, *(name for name, wanted in extra.items() if wanted)]


def _find_path(source: Any) -> Path | None:
    """Return the file of an input, if it has one."""
    is_file = isinstance(source, (str, PathLike)) and '://' not in str(source)
    return Path(source) if is_file else None


def _keep_photo(result: Result, photo: Photo, path: Path | None) -> Result:
    return replace(result, image=photo.bgr[..., ::-1], photo=photo.name, path=path)


def _check(
    task: str, batch_size: int, min_area: float, score_thr: float | None
) -> None:
    if task not in TASKS:
        raise ValueError(f'task must be one of {TASKS}, got {task!r}.')
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, got {batch_size}.')
    check_limits(min_area, score_thr)


def _check_model(model: nn.Module) -> None:
    """Raise a ValueError unless a model names segments by a vocabulary."""
    name = type(model).__name__
    package = type(model).__module__.split('.')[0]
    if package in FOREIGN:
        raise ValueError(
            f'{name} is a model of {package}, which is run by its '
            f'{FOREIGN[package]}; OVSegInferencer runs the models of mmovseg. Classes '
            'of its parts of ours are set by mmovseg.apis.set_vocabulary(model, names).'
        )
    named = getattr(model, 'text_classifier', True) is not None
    if not (named and hasattr(model, 'set_vocabulary')):
        raise ValueError(
            f'{name} of this config names no segments: it is a stage of training. Take '
            'the config of the whole model.'
        )


def _read(
    sample: BaseDataElement,
    task: str,
    vocabulary: Vocabulary,
    score_thr: float | None = None,
    min_area: float = 0.0,
) -> Result:
    return read_result(
        sample,
        task,
        vocabulary.names,
        is_thing=vocabulary.is_thing,
        score_thr=score_thr,
        min_area=min_area,
    )
