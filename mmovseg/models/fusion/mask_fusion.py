"""Masks and class logits become panoptic, semantic and instance results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...registry import MODELS
from ..ops import mask_strips, to_device_async, without_autocast
from ..structures import MaskPrediction
from .fusion_tasks import (
    FusionTask,
    HeatmapTask,
    InstanceTask,
    LogitsTask,
    PanopticTask,
    ProposalTask,
    SemanticTask,
    TopClassesTask,
    unflip,
)

if TYPE_CHECKING:
    from ...vocabulary import Vocabulary


RESULTS = (
    *('panoptic', 'instance', 'semantic'),
    *('proposals', 'heatmaps', 'top_classes', 'logits'),
)
TOP_CLASSES = 5  # of a pixel


@MODELS.register_module()
class MaskFusion(BaseModule):
    """Turn a ``MaskPrediction`` into results at the size of the original image.

    Masks are resized bilinearly to the padded input, cropped, and resized to the
    output, a strip of rows at a time, so memory does not grow with the image. All
    results use the same strips:

    * ``pred_panoptic_seg``: ``sem_seg`` int32 ``[1, H, W]`` coded ``label + divisor *
      instance``; instances count from 1 over things and stuff, void is K. The
      metainfo holds ``label_divisor``, ``ignore_index`` (K), ``label_names`` and
      ``segments_info`` (``id``, ``category_id`` = label, ``isthing``, ``score``,
      ``area``).
    * ``pred_instances``: ``bboxes`` (xyxy, float), ``labels``, ``scores``, ``masks``
      (bool) and ``label_names``, things only.
    * ``pred_sem_seg``: the labels int64 ``[1, H, W]``, as ``sem_seg`` for mmdet and
      as ``data`` for mmseg.
    * ``pred_proposals``: ``masks`` (bool ``[N, H, W]``) of all queries, whatever their
      classes.
    * ``pred_heatmaps``, if the prediction has them: of all queries ``heatmaps`` ``[N,
      h', w']`` and ``mask_logits`` ``[N, h, w]`` as predicted; per class ``queries``
      and ``scores`` ``[K]``, the query that stands for it and its probability. The
      metainfo holds ``padded_size``, ``img_shape`` and ``ori_shape``.
    * ``seg_logits``: ``data`` ``[K, H, W]``, the logarithm of the sum over queries of
      class score times mask, as mmseg's ``SegTTAModel`` needs it.
    * ``kept_classes``, where a presence filter has left out names: the labels of the
      others, int64 ``[K']``.

    Results of an image that was flipped for the network (``flip`` and
    ``flip_direction`` of the metainfo) are turned back, all but heatmaps.

    The switches say what is made; a call may ask for other results.

    Args:
        panoptic: Make the panoptic result.
        instance: Make the instance result.
        semantic: Make the semantic result.
        proposals: Make the class-agnostic masks.
        heatmaps: Pass the heatmaps on.
        top_classes: Make the five most likely classes of every pixel.
        logits: Make ``seg_logits``, which takes 4 bytes per class and pixel.
        resize_probabilities: Resize to the output after the sigmoid (DeOP), not
            before (EOV-Seg).
        one_step_resize: Resize logits straight from their map to the output, whatever
            ``resize_probabilities`` says. Less work; no paper does it.
        object_mask_thr: A panoptic segment needs a class score above this.
        iou_thr: And must win at least this share of its mask.
        max_per_image: Number of best (query, class) pairs; the things among them
            become instances.
        max_pixels: Values of the largest temporary tensor, masks times pixels. Less
            needs less memory, more needs fewer steps; the results are the same up to
            rounding.
        init_cfg: Unused, there are no parameters.

    Raises:
        ValueError: If a threshold is outside [0, 1], or ``max_per_image`` or
            ``max_pixels`` is below 1.

    Example:
        >>> import torch
        >>> from mmengine.structures import BaseDataElement
        >>> from mmovseg.models.structures import MaskPrediction
        >>> from mmovseg.vocabulary import Vocabulary
        >>> names = Vocabulary.from_names(['dog', 'cat'])
        >>> scores = torch.tensor([[[9.0, 0, 0], [0, 9, 0]]])  # dog, cat, void
        >>> masks = torch.tensor([[9.0, 9, -9, -9], [-9, -9, 9, 9]])
        >>> masks = masks.view(1, 2, 1, 4).repeat(1, 1, 4, 1)
        >>> prediction = MaskPrediction(scores, masks)
        >>> fusion, sample = MaskFusion(), BaseDataElement()
        >>> [sample] = fusion(prediction, [sample], names, (4, 4), ['semantic'])
        >>> sample.pred_sem_seg.sem_seg[0, 0].tolist()
        [0, 0, 1, 1]

    Source: EOV-Seg's code (Mask2Former's and MaskFormer's rules); resizing and
    heatmaps of DeOP's. Deviates: boxes are those of the masks (zeros there), ids are
    coded.
    """

    def __init__(
        self,
        *,
        panoptic: bool = True,
        instance: bool = True,
        semantic: bool = True,
        proposals: bool = False,
        heatmaps: bool = False,
        top_classes: bool = False,
        logits: bool = False,
        resize_probabilities: bool = False,
        one_step_resize: bool = False,
        object_mask_thr: float = 0.0,
        iou_thr: float = 0.8,
        max_per_image: int = 100,
        max_pixels: int = 2**21,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if max_pixels < 1 or max_per_image < 1:
            raise ValueError(
                'max_pixels and max_per_image must be at least 1, got '
                f'{max_pixels} and {max_per_image}.'
            )
        for name, value in dict(
            object_mask_thr=object_mask_thr, iou_thr=iou_thr
        ).items():
            if not 0 <= value <= 1:
                raise ValueError(f'fusion.{name} must be in [0, 1], got {value}.')
        self.panoptic = panoptic
        self.instance = instance
        self.semantic = semantic
        self.proposals = proposals
        self.heatmaps = heatmaps
        self.top_classes = top_classes
        self.logits = logits
        self.resize_probabilities = resize_probabilities
        self.one_step_resize = one_step_resize
        self.object_mask_thr = object_mask_thr
        self.iou_thr = iou_thr
        self.max_per_image = max_per_image
        self.max_pixels = max_pixels

    @torch.no_grad()
    def forward(
        self,
        prediction: MaskPrediction,
        data_samples: Sequence[BaseDataElement] | None,
        vocabulary: Vocabulary,
        padded_size: tuple[int, int],
        results: Sequence[str] | None = None,
    ) -> list[BaseDataElement]:
        """Fill the data samples with the results.

        Args:
            prediction: Class logits ``[B, N, K + 1]`` (or log-probabilities), mask
                logits ``[B, N, h, w]`` and perhaps heatmaps, of any floating type.
            data_samples: One per image, any class of mmengine's kind. ``img_shape``
                (size without padding) and ``ori_shape`` (output size) are read from
                their metainfo; where absent the padded size and ``img_shape`` stand
                in. None makes empty ones.
            vocabulary: Names and thing flags of the K classes.
            padded_size: Height and width of the network's input.
            results: Names of the switches that are on for this call, whatever they
                are; None leaves them.

        Returns:
            The data samples, changed in place.

        Raises:
            ValueError: If the numbers of images or classes or the sizes disagree, or
                there is no such result.
        """
        results = self._read_results(results)
        class_logits, mask_logits = prediction.class_logits, prediction.mask_logits
        if data_samples is None:
            data_samples = [BaseDataElement() for _ in mask_logits]
        _check(class_logits, data_samples, vocabulary)
        with without_autocast(mask_logits.device):
            probs = class_logits.float().softmax(-1)  # [B, N, K + 1]
            choices = self._choose(probs, vocabulary)
            pending = [
                self._gather(
                    _of_image(prediction, image),
                    probs[image],
                    sample,
                    vocabulary=vocabulary,
                    padded_size=(padded_size[0], padded_size[1]),
                    choice=choices[image],
                    results=results,
                )
                for image, sample in enumerate(data_samples)
            ]
            # Last, as results wait for the device: by now all images are under way.
            for sample, tasks in zip(data_samples, pending, strict=True):
                for task in tasks:
                    result = task.result()
                    if sample.get('flip'):
                        unflip(result, sample.get('flip_direction', 'horizontal'))
                    setattr(sample, task.field, result)
        return list(data_samples)

    def _read_results(self, results: Sequence[str] | None) -> list[str]:
        if results is None:
            return [name for name in RESULTS if getattr(self, name)]
        unknown = set(results) - set(RESULTS)
        if unknown:
            raise ValueError(f'There is no result {sorted(unknown)}: take {RESULTS}.')
        return list(results)

    def _choose(self, probs: Tensor, vocabulary: Vocabulary) -> list[_Choice]:
        """Find the queries that can matter, with one transfer for the whole batch."""
        num_queries, num_classes = probs.shape[1], probs.shape[2] - 1
        scores, labels = probs.max(-1)  # [B, N]
        pairs = probs[..., :-1].flatten(1)  # [B, N * K]
        pair_scores, pairs = pairs.topk(min(self.max_per_image, pairs.shape[1]))
        # float64 holds the float32 scores and the indices exactly.
        table = [x.double() for x in (scores, labels, pair_scores, pairs)]
        choices = []
        for row in torch.cat(table, 1).tolist():
            scores_i, labels_i = row[:num_queries], row[num_queries : 2 * num_queries]
            kept = [
                (query, int(label), score)
                for query, (label, score) in enumerate(
                    zip(labels_i, scores_i, strict=True)
                )
                if label < num_classes and score > self.object_mask_thr
            ]
            rest = row[2 * num_queries :]
            half = len(rest) // 2
            found = [
                (int(pair) // num_classes, int(pair) % num_classes, score)
                for score, pair in zip(rest[:half], rest[half:], strict=True)
            ]
            found = [item for item in found if vocabulary.is_thing[item[1]]]
            choices.append(_Choice(kept, found))
        return choices

    def _gather(
        self,
        prediction: MaskPrediction,
        probs: Tensor,
        sample: BaseDataElement,
        *,
        vocabulary: Vocabulary,
        padded_size: tuple[int, int],
        choice: _Choice,
        results: Sequence[str],
    ) -> list[FusionTask]:
        """Gather what the results of one image need."""
        mask_logits = prediction.mask_logits
        if prediction.present is not None:
            sample.kept_classes = _kept_classes(prediction)
        img_shape, ori_shape = _read_sizes(sample, padded_size)
        sizes = dict(padded_size=padded_size, img_shape=img_shape, ori_shape=ori_shape)
        tasks = self._make_tasks(prediction, probs, vocabulary, choice, sizes, results)
        queries = sorted({query for task in tasks for query in task.queries})
        for task in tasks:
            task.start(queries, mask_logits.device)
        if not queries:
            return tasks
        if len(queries) < len(mask_logits):
            index = to_device_async(queries, mask_logits.device, torch.int64)
            mask_logits = mask_logits[index]
        probabilities = self.resize_probabilities and not self.one_step_resize
        for rows, strip in mask_strips(
            mask_logits,
            **sizes,
            max_values=self.max_pixels,
            one_step=self.one_step_resize,
            probabilities=probabilities,
        ):
            if probabilities:
                signed_masks, masks = strip - 0.5, strip
            else:
                signed_masks, masks = strip, strip.sigmoid()
            for task in tasks:
                task.add(rows, signed_masks, masks)
        return tasks

    def _make_tasks(
        self,
        prediction: MaskPrediction,
        probs: Tensor,
        vocabulary: Vocabulary,
        choice: _Choice,
        sizes: dict[str, tuple[int, int]],
        results: Sequence[str],
    ) -> list[FusionTask]:
        """List what is asked for."""
        size = sizes['ori_shape']
        # Others cannot win: of tens of thousands of names hardly any take time.
        classes = _kept_classes(prediction)
        tasks: list[FusionTask] = []
        if 'panoptic' in results:
            tasks.append(PanopticTask(choice.kept, size, vocabulary, self.iou_thr))
        if 'instance' in results:
            tasks.append(InstanceTask(choice.found, size, vocabulary))
        if 'semantic' in results:
            tasks.append(
                SemanticTask(probs, size, vocabulary, self.max_pixels, classes)
            )
        if 'top_classes' in results:
            count, most = TOP_CLASSES, self.max_pixels
            tasks.append(TopClassesTask(probs, size, count, most, classes))
        if 'proposals' in results:
            tasks.append(ProposalTask(len(probs), size))
        if 'logits' in results:
            tasks.append(LogitsTask(probs, size))
        if 'heatmaps' in results and prediction.heatmaps is not None:
            maps = dict(
                heatmaps=prediction.heatmaps, mask_logits=prediction.mask_logits
            )
            tasks.append(HeatmapTask(probs, maps, sizes))
        return tasks


class _Choice(NamedTuple):
    """Queries of one image as (query, label, score), decided on the host."""

    kept: list[tuple[int, int, float]]  # panoptic candidates
    found: list[tuple[int, int, float]]  # instances


def _read_sizes(
    sample: BaseDataElement, padded_size: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return ``img_shape`` and ``ori_shape`` of a data sample, or their stand-ins."""
    img_shape = tuple(sample.get('img_shape', padded_size))[:2]
    ori_shape = tuple(sample.get('ori_shape', img_shape))[:2]
    if not all(0 < a <= b for a, b in zip(img_shape, padded_size, strict=True)):
        raise ValueError(
            f'img_shape {img_shape} of a data sample must lie inside the padded size '
            f'{padded_size}.'
        )
    return img_shape, ori_shape


def _kept_classes(prediction: MaskPrediction) -> Tensor | None:
    """Return the labels that a presence filter has kept in an image, ``[K']``."""
    present = prediction.present
    return None if present is None else present.nonzero().flatten()


def _of_image(prediction: MaskPrediction, image: int) -> MaskPrediction:
    """Take one image out of a batch."""
    parts = prediction._asdict().items()
    return prediction._replace(
        **{name: value[image] for name, value in parts if value is not None}
    )


def _check(
    class_logits: Tensor,
    data_samples: Sequence[BaseDataElement],
    vocabulary: Vocabulary,
) -> None:
    """Raise ValueError where images or classes do not fit together."""
    if len(data_samples) != len(class_logits):
        raise ValueError(
            f'{len(class_logits)} images were predicted, but there are '
            f'{len(data_samples)} data samples.'
        )
    num_classes = len(vocabulary.is_thing)
    if class_logits.shape[-1] != num_classes + 1:
        raise ValueError(
            f'The vocabulary has {num_classes} classes, but the class logits have '
            f'{class_logits.shape[-1]} columns; classes and void are expected.'
        )
