"""Measure how well a tiny CLIP names what ShapeWorld shows.

    python -m projects.shapeworld.evaluate_clip tiny-rn --weights shapeworld

Of pictures that no training has seen: crops of things and textures, and regions of
whole pictures, whose masks pool the dense map as in segmentation (--scale enlarges the
pictures). Every one is compared with all 58 classes and their synonyms; prints how many
per cent are named rightly. --append adds the result to a log.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.models.backbones import CLIPConvBackbone, DenseCLIPViT
from mmovseg.models.clip import create_clip
from mmovseg.models.ops import mask_pool
from mmovseg.models.structures import TextEmbeddings
from mmovseg.models.text import TextClassifier
from mmovseg.shapeworld.drawing import (
    CLASSES,
    PATTERNED,
    SEEN,
    SOLID,
    STUFF,
    ShapeSample,
)
from mmovseg.vocabulary import Vocabulary

from .crops import CropSource, draw_pictures

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the tiny configs
ALL = slice(0, len(CLASSES))
KINDS = {'solid': SOLID, 'patterned': PATTERNED, 'stuff': STUFF}


def normalize(images: np.ndarray) -> Tensor:
    """Turn RGB ``[B, H, W, 3]`` uint8 into ``[B, 3, H, W]``."""
    scaled = (torch.from_numpy(images).float() - torch.tensor(MEAN)) / torch.tensor(STD)
    return scaled.permute(0, 3, 1, 2)


def name(features: Tensor, text: TextEmbeddings, labels: slice = ALL) -> Tensor:
    """Return which of the classes unit vectors are nearest to, ``[B, N]``.

    Args:
        features: ``[B, N, D]``.
        text: All classes.
        labels: Those to choose from.
    """
    logits = text.logits(features, torch.tensor(1.0))[..., labels]
    return logits.argmax(-1) + labels.start


def summarize(right: dict[str, list[bool]]) -> dict[str, float]:
    """Return per cent of every kind, and of solid shapes by seen and unseen."""
    groups = {
        **KINDS,
        'solid_seen': [n for n in SOLID if n in SEEN],
        'solid_unseen': [n for n in SOLID if n not in SEEN],
    }
    return {
        kind: round(100 * float(np.mean([x for n in names for x in right[n]])), 1)
        for kind, names in groups.items()
    }


def measure_crops(
    visual: torch.nn.Module, text: TextEmbeddings, source: CropSource, count: int, size
) -> dict[str, float]:
    """Name crops of the model's image size; solid shapes also among their own names."""
    right: dict[str, list[bool]] = defaultdict(list)
    solid, among_solid = slice(len(STUFF), len(STUFF) + len(SOLID)), []
    rng = np.random.RandomState(1)
    for start in range(0, count, 100):
        images, labels = source.draw(rng, min(100, count - start), size)
        features = F.normalize(visual(normalize(images)), dim=-1)[None]
        found, shape = name(features, text)[0], name(features, text, solid)[0]
        for label, guess in zip(labels.tolist(), found.tolist(), strict=True):
            right[CLASSES[label]].append(label == guess)
        is_solid = (labels >= solid.start) & (labels < solid.stop)
        among_solid += (shape.numpy() == labels)[is_solid].tolist()
    share = round(100 * float(np.mean(among_solid)), 1)
    return {f'solid_of_{len(SOLID)}': share, **summarize(right)}


class Regions:
    """Embeds masks of whole pictures as the segmentation models do.

    Args:
        model_name: See :func:`~mmovseg.models.clip.create_clip`.
        weights: Likewise.
        severed: For a ViT: sever its last block, as DeOP does.
    """

    def __init__(self, model_name: str, weights: str, *, severed: bool = False) -> None:
        self.is_vit = hasattr(create_clip(model_name).visual, 'transformer')
        if self.is_vit:
            cut = [dict(block=-1, mode='generalized', alpha=1.0)] if severed else []
            self.backbone = DenseCLIPViT(model_name, weights, severance=cut)
        else:
            self.backbone = CLIPConvBackbone(model_name, weights)

    def __call__(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Embed masks.

        Args:
            images: ``[1, 3, H, W]``.
            masks: Positive inside, negative outside, ``[1, N, H, W]``.

        Returns:
            Unit vectors ``[1, N, D]``, and which masks have a cell of the map, ``[N]``.
        """
        features = self.backbone(images)
        if isinstance(features, tuple):
            features = features[-1]
        size = features.shape[-2:]
        small = F.interpolate(masks, size, mode='bilinear', align_corners=False)
        pool = mask_pool if self.is_vit else self.backbone.pool_masks
        return F.normalize(pool(features, small), dim=-1), (small > 0).flatten(2).any(
            -1
        )[0]


def measure_regions(
    regions: Regions, text: TextEmbeddings, pictures: list[ShapeSample], scale: float
) -> dict[str, float]:
    """Name the segments of whole pictures; also how many have a cell of the map."""
    right: dict[str, list[bool]] = defaultdict(list)
    covered = []
    for sample in pictures:
        side = round(len(sample.image) * scale / 32) * 32
        image = cv2.resize(sample.image, (side, side), interpolation=cv2.INTER_LINEAR)
        ids = torch.from_numpy(sample.segments)
        masks = torch.stack([ids == index for index in range(len(sample.labels))])
        masks = F.interpolate(masks[None].float() * 2 - 1, (side, side), mode='nearest')
        features, valid = regions(normalize(image[None]), masks)
        found = name(features, text)[0]
        covered += valid.tolist()
        for label, guess, usable in zip(
            sample.labels, found.tolist(), valid.tolist(), strict=True
        ):
            if usable:
                right[CLASSES[label]].append(label == guess)
    return {**summarize(right), 'covered': round(100 * float(np.mean(covered)), 1)}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='name of a JSON file of open_clip')
    parser.add_argument('--weights', required=True, help='tag or file')
    parser.add_argument('--num-pictures', type=int, default=600)
    parser.add_argument('--num-crops', type=int, default=4000)
    parser.add_argument('--image-size', type=int, default=128, help='of whole pictures')
    parser.add_argument('--scale', type=float, nargs='+', default=[1.0, 2.0])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--append', type=Path, help='JSON lines file')
    args = parser.parse_args(argv)
    if min(args.num_pictures, args.num_crops) < 1:
        parser.error('--num-pictures and --num-crops must be at least 1.')
    if args.image_size < 32 or min(args.scale) * args.image_size < 32:
        parser.error('--image-size, also times --scale, must be at least 32.')
    return args


@torch.no_grad()
def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure, print and return everything."""
    args = parse_args(argv)
    torch.set_grad_enabled(False)
    classifier = TextClassifier(args.model, args.weights, cache_dir=None)
    text = classifier(Vocabulary.load('shapeworld'))
    common = dict(seed=args.seed)
    pictures = draw_pictures('clip_val', args.num_pictures, **common)
    visual = create_clip(args.model, args.weights).visual
    size = visual.image_size if isinstance(visual.image_size, int) else None
    size = visual.image_size[0] if size is None else size
    results = {
        'crops': measure_crops(visual, text, CropSource(pictures), args.num_crops, size)
    }
    pictures = draw_pictures(
        'clip_val', args.num_pictures, sizes=[args.image_size], **common
    )
    plain = Regions(args.model, args.weights)
    variants = {'regions': plain}
    if plain.is_vit:
        variants['regions_severed'] = Regions(args.model, args.weights, severed=True)
    for kind, regions in variants.items():
        for scale in args.scale:
            results[f'{kind}_x{scale:g}'] = measure_regions(
                regions, text, pictures, scale
            )
    for kind, shares in results.items():
        print(f'{kind}: ' + ', '.join(f'{k} {v}' for k, v in shares.items()))
    if args.append is not None:
        with args.append.open('a') as file:
            file.write(json.dumps({'evaluation': args.model, **results}) + '\n')
    return results


if __name__ == '__main__':
    main()
