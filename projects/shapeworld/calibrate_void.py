"""Choose void, the weights of CLIP and the overlap on seen classes alone.

    python -m projects.shapeworld.calibrate_void \\
        projects/shapeworld/recipes/eovseg_tiny_hold_out.py \\
        work_dirs/hold_out/iter_2000.pth

Pictures show seen classes only, and none of a data set, and no name of another class
is asked for. Seen classes that the model was not trained on, as those of the recipe
above, take the place of unseen ones. If it was trained on all, every second one counts
as unseen: what is chosen for them then trusts CLIP too little. One number after the
other takes the value of the best panoptic quality. Where several are equally good, the
model keeps its own. The table, in Markdown, has all that were tried, and the quality of
trained classes and of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmovseg.apis import init_model
from mmovseg.command_line import exit_on_error, pick_device
from mmovseg.evaluation.panoptic_metric import (
    SegmentTable,
    count_overlaps,
    match_segments,
)
from mmovseg.models.segmentors import EOVSeg
from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.progress import Progress
from mmovseg.shapeworld.drawing import CLASSES, SEEN, ShapeSample, draw_numbered

# In the order in which they are chosen; names as in a config of a model.
GRID = {
    'ensemble.void_scale': (0.1, 0.25, 0.5, 1.0, 2.0),
    'ensemble.void_gamma': (0.0, 0.25, 0.5, 1.0),
    'ensemble.alpha': (0.2, 0.4, 0.6, 0.8),
    'ensemble.beta': (0.4, 0.6, 0.8, 1.0),
    'fusion.iou_thr': (0.5, 0.6, 0.7, 0.8),
}


class Tried(NamedTuple):
    """What a value of a number gave: panoptic quality, in percent."""

    number: str
    value: float
    quality: float
    trained: float
    held_out: float


class Seen(NamedTuple):
    """What a model makes of a picture before its ensemble."""

    picture: ShapeSample
    prediction: MaskPrediction
    features: Tensor


def extract(model: EOVSeg, picture: ShapeSample) -> Any:
    """Return a picture's features, which do not depend on names."""
    image = torch.from_numpy(np.ascontiguousarray(picture.image[..., ::-1]))
    size = picture.segments.shape
    sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    data = dict(inputs=[image.permute(2, 0, 1)], data_samples=[sample])
    return model.extract_feat(model.data_preprocessor(data, False)['inputs'])


def look(
    model: EOVSeg, text: TextEmbeddings, picture: ShapeSample, features: Any
) -> Seen:
    """Run the network on the features of a picture."""
    return Seen(picture, model.decode(features, text, text)[-1], features[0][-1])


def measure(model: EOVSeg, text: TextEmbeddings, seen: Sequence[Seen]) -> np.ndarray:
    """Return panoptic quality, in percent, per seen class; NaN if it does not occur."""
    iou, weight = np.zeros(len(SEEN)), np.zeros(len(SEEN))
    for picture, prediction, features in seen:
        mixed = model.mix_zero_shot(prediction, features, text)
        size = picture.segments.shape
        padded = (features.shape[-2] * 32, features.shape[-1] * 32)
        sample = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
        [done] = model.fusion(mixed, [sample], model.vocabulary, padded, ['panoptic'])
        codes = done.pred_panoptic_seg.sem_seg[0].cpu().numpy().astype(np.int64)
        divisor = done.pred_panoptic_seg.label_divisor
        ids = np.unique(codes[codes >= divisor])
        guess = SegmentTable(ids, ids % divisor, np.zeros(len(ids), bool))
        labels = np.array([SEEN.index(CLASSES[x]) for x in picture.labels])
        numbers = np.arange(1, len(labels) + 1)
        truth = SegmentTable(numbers, labels, np.zeros(len(labels), bool))
        pairs = count_overlaps(picture.segments + 1, codes)
        found, missed, wrong = match_segments(pairs, truth, guess)
        np.add.at(iou, labels, found)
        np.add.at(weight, labels, np.where(missed, 0.5, 1.0))
        np.add.at(weight, guess.labels, np.where(wrong, 0.5, 0.0))
    return 100 * np.divide(
        iou, weight, out=np.full(len(SEEN), np.nan), where=weight > 0
    )


@torch.no_grad()
def calibrate(
    model: EOVSeg, pictures: Sequence[ShapeSample], grid: dict[str, Sequence[float]]
) -> tuple[dict[str, float], list[Tried]]:
    """Choose numbers of a model one after the other; it has them then.

    Args:
        model: With a ``GeometricEnsemble``; it gets the vocabulary of seen classes.
        pictures: Of seen classes.
        grid: Values by name of a number, such as ``'ensemble.alpha'``.

    Returns:
        What was chosen, and every number that was tried.
    """
    model.set_vocabulary('shapeworld_seen')
    text = model.encode_vocabulary(model.vocabulary)
    if text.seen.all():
        every_second = torch.arange(len(SEEN)) % 2 == 0
        text = text._replace(seen=every_second.to(text.weight.device))
    trained = text.seen.cpu().numpy()
    seen = [look(model, text, x, extract(model, x)) for x in pictures]
    chosen, tried = {}, []
    with Progress(sum(map(len, grid.values())), 'Calibration', 'value') as progress:
        for number, values in grid.items():
            path, name = number.split('.')
            part = getattr(model, path)
            before = getattr(part, name)
            for value in values:
                setattr(part, name, value)
                quality = measure(model, text, seen)
                groups = quality, quality[trained], quality[~trained]
                tried.append(
                    Tried(number, value, *(float(np.nanmean(x)) for x in groups))
                )
                progress.update()
            rows = tried[-len(values) :]
            _, _, value = max((x.quality, x.value == before, x.value) for x in rows)
            chosen[number] = value
            setattr(part, name, value)
    return chosen, tried


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='of an EOV-Seg or FC-CLIP, for ShapeWorld')
    parser.add_argument('checkpoint', help='file, tiny or tiny-eovseg')
    parser.add_argument('--num-pictures', type=int, default=100)
    parser.add_argument('--image-size', type=int, default=192)
    parser.add_argument('--seed', type=int, default=41)
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    args = parser.parse_args(argv)
    if args.num_pictures < 1:
        parser.error(f'--num-pictures must be at least 1, got {args.num_pictures}.')
    if args.image_size < 32 or args.image_size % 32:
        parser.error(f'--image-size is a multiple of 32, got {args.image_size}.')
    args.device = pick_device(args.device)
    return args


def check(model: Any, config: str) -> None:
    """Raise a ValueError if a model is none that can be calibrated."""
    if not isinstance(model, EOVSeg):
        raise ValueError(
            f'{config} is a {type(model).__name__}: take an EOV-Seg or an FC-CLIP.'
        )
    if model.ensemble is None or not (set(SEEN) <= set(model.vocabulary.names)):
        raise ValueError(
            f'{config} has no ensemble, or not all classes of shapeworld_seen.'
        )


def draw(args: argparse.Namespace) -> list[ShapeSample]:
    """Draw pictures of seen classes, other ones than any data set has."""
    return [
        draw_numbered(args.seed, 'train', number, args.image_size)
        for number in range(args.num_pictures)
    ]


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Calibrate, print and return what was chosen."""
    args = parse_args(argv)
    with exit_on_error(TypeError):
        model = init_model(args.config, args.checkpoint, args.device)
        check(model, args.config)
        pictures = draw(args)
        chosen, tried = calibrate(model, pictures, GRID)
    print('| number | value | PQ | PQ trained | PQ held out |\n|---|--:|--:|--:|--:|')
    for number, value, *quality in tried:
        mark = ' (chosen)' if chosen[number] == value else ''
        numbers = ' | '.join(f'{x:.1f}' for x in quality)
        print(f'| {number}{mark} | {value:g} | {numbers} |')
    options = ' '.join(f'model.{k}={v:g}' for k, v in chosen.items())
    print(f'\n--cfg-options {options}')
    return chosen


if __name__ == '__main__':
    main()
