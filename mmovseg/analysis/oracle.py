"""What a model would score if one part of its prediction were right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import Evaluator
from torch import Tensor

from ..evaluation import PanopticMetric
from ..models.segmentors import OVSegmentor
from ..models.structures import MaskPrediction, MaskTarget
from ..progress import Progress

# A mask logit of this size is a probability of one, also in float16.
SURE = 20.0
GOOD_IOU = 0.5  # a mask that panoptic quality can match


def true_names(prediction: MaskPrediction, target: MaskTarget) -> MaskPrediction:
    """Keep masks and void; every mask gets the class of the segment it fits best.

    Args:
        prediction: Of one image, ``[1, N, ...]``.
        target: Its annotation.
    """
    ious = _count_ious(prediction, target)  # [N, n]
    probs = prediction.class_logits.softmax(-1)
    named = torch.zeros_like(probs)
    void = probs[0, :, -1]
    if ious.shape[1]:
        best, index = ious.max(1)
        void = torch.where(best > 0, void, 1.0)
        named[0, torch.arange(len(index)), target.labels[index]] = 1 - void
    else:
        void = torch.ones_like(void)
    named[0, :, -1] = void
    return prediction._replace(class_logits=named.log())


def true_names_and_void(
    prediction: MaskPrediction, target: MaskTarget
) -> MaskPrediction:
    """Keep masks; the best mask of every segment gets its class, all others are void.

    Args:
        prediction: Of one image, ``[1, N, ...]``.
        target: Its annotation.
    """
    ious = _count_ious(prediction, target)
    named = torch.zeros_like(prediction.class_logits)
    named[0, :, -1] = 1
    if ious.shape[1]:
        best, index = ious.max(0)  # [n], the query of every segment
        for query, iou, label in zip(index, best, target.labels, strict=True):
            if iou > GOOD_IOU:
                named[0, query] = 0
                named[0, query, label] = 1
    return prediction._replace(class_logits=named.log())


def true_masks(prediction: MaskPrediction, target: MaskTarget) -> MaskPrediction:
    """Keep names; every segment gets the class logits of the mask that fits it best.

    Void is left out, as every annotated mask is an object.

    Args:
        prediction: Of one image, ``[1, N, ...]``.
        target: Its annotation.
    """
    ious = _count_ious(prediction, target)
    index = ious.max(0).indices
    logits = prediction.class_logits[:, index].clone()
    logits[..., -1] = -torch.inf
    signs = target.masks[None].to(prediction.mask_logits.dtype) * 2 - 1
    return MaskPrediction(logits, SURE * signs)


def present_names(prediction: MaskPrediction, target: MaskTarget) -> MaskPrediction:
    """Keep masks; classes that the image does not show are left out.

    The network has still read all names, so its masks do not change.

    Args:
        prediction: Of one image, ``[1, N, ...]``.
        target: Its annotation.
    """
    absent = torch.ones_like(prediction.class_logits[0, 0], dtype=torch.bool)
    absent[target.labels] = False
    absent[-1] = False
    return prediction._replace(
        class_logits=prediction.class_logits.masked_fill(absent, -torch.inf)
    )


def no_void(prediction: MaskPrediction, target: MaskTarget) -> MaskPrediction:
    """Keep masks and names; no mask is void.

    Args:
        prediction: Of one image, ``[1, N, ...]``.
        target: Unused.
    """
    logits = prediction.class_logits.clone()
    logits[..., -1] = -torch.inf
    return prediction._replace(class_logits=logits)


ORACLES: dict[str, Callable[[MaskPrediction, MaskTarget], MaskPrediction]] = {
    'as it is': lambda prediction, _: prediction,
    'true names': true_names,
    'true names and void': true_names_and_void,
    'true masks': true_masks,
    'only the names present': present_names,
    'no void': no_void,
}


def _count_ious(prediction: MaskPrediction, target: MaskTarget) -> Tensor:
    """Compare masks with annotated ones at the size of the network's input."""
    size = target.masks.shape[-2:]
    masks = F.interpolate(prediction.mask_logits.float(), size, mode='bilinear')[0] > 0
    found, truth = masks.flatten(1).float(), target.masks.flatten(1).float()
    both = found @ truth.T
    union = found.sum(1)[:, None] + truth.sum(1) - both
    return both / union.clamp(min=1)  # [N, n]


def read_target(metric: PanopticMetric, sample: Any, size: Sequence[int]) -> MaskTarget:
    """Read the annotation of an image from the files of the panoptic metric.

    Args:
        metric: The metric of the dataset.
        sample: Data sample with ``img_id`` and ``img_shape``.
        size: Height and width of the padded input.

    Returns:
        Masks at the padded size. Crowds are left out.
    """
    annotations = metric.annotations
    image = annotations.find(sample.img_id)
    _, ids = annotations.read_png(image, metric.seg_prefix, metric.backend_args)
    segments = [x for x in image.segments if not x.get('iscrowd', 0)]
    masks = np.stack([ids == x['id'] for x in segments] or [np.zeros_like(ids, bool)])
    height, width = sample.img_shape[:2]
    resized = F.interpolate(torch.from_numpy(masks)[None].float(), (height, width))[0]
    padding = (0, size[1] - width, 0, size[0] - height)
    labels = [annotations.labels[x['category_id']] for x in segments]
    return MaskTarget(
        torch.tensor(labels, dtype=torch.int64),
        F.pad(resized, padding)[: len(labels)] > 0.5,
    )


@torch.no_grad()
def evaluate_oracles(
    model: OVSegmentor,
    loader: Any,
    metrics: Sequence[dict],
    names: Sequence[str] = tuple(ORACLES),
) -> dict[str, dict[str, float]]:
    """Evaluate a model once, with every part of its predictions put right in turn.

    Args:
        model: A segmentor in eval mode.
        loader: Data loader of the test set, with batches of one image.
        metrics: Configs of the metrics; one is a ``PanopticMetric``, whose annotation
            is the truth.
        names: Of :data:`ORACLES`.

    Returns:
        By oracle, the metrics by name. Of ``'as it is'`` also how well the best mask
        of every segment fits it, whatever its name is, in the mean over all segments:
        ``masks/IoU``, and the shares above 50 and 75 per cent, ``masks/above_50`` and
        ``masks/above_75``.

    Raises:
        ValueError: If there is no panoptic metric, or no such oracle.
    """
    if unknown := set(names) - set(ORACLES):
        raise ValueError(f'Unknown oracles {sorted(unknown)}: take {list(ORACLES)}.')
    evaluators = {name: Evaluator(copy.deepcopy(list(metrics))) for name in names}
    found = [
        metric
        for evaluator in evaluators.values()
        for metric in evaluator.metrics
        if isinstance(metric, PanopticMetric)
    ]
    if not found:
        raise ValueError(
            'The oracles read the truth from a PanopticMetric, and the config has none '
            'in test_evaluator.'
        )
    for evaluator in evaluators.values():
        evaluator.dataset_meta = loader.dataset.metainfo
    text = model.encode_vocabulary(model.vocabulary)
    ious: list[float] = []
    with Progress(len(loader), 'Oracles', 'image') as progress:
        for batch in loader:
            data = model.data_preprocessor(batch, False)
            inputs, samples = data['inputs'], data['data_samples']
            size = (inputs.shape[-2], inputs.shape[-1])
            target = read_target(found[0], samples[0], size)
            target = MaskTarget(*(x.to(inputs.device) for x in target))
            prediction = model.predict_masks(inputs, text, samples)
            prediction = prediction._replace(
                class_logits=prediction.class_logits.float(), heatmaps=None
            )
            if len(target.labels):
                ious += _count_ious(prediction, target).amax(0).tolist()
            for name, evaluator in evaluators.items():
                changed = ORACLES[name](prediction, target)
                done = model.fusion(
                    changed, [samples[0].clone()], model.vocabulary, size
                )
                evaluator.process(done, batch)
            progress.update()
    results = {
        name: evaluator.evaluate(len(loader.dataset))
        for name, evaluator in evaluators.items()
    }
    if 'as it is' in results and ious:
        results['as it is'] |= _summarize(100 * np.array(ious))
    return results


def _summarize(ious: np.ndarray) -> dict[str, float]:
    shares = {f'masks/above_{x}': 100 * float((ious > x).mean()) for x in (50, 75)}
    return {'masks/IoU': float(ious.mean()), **shares}
