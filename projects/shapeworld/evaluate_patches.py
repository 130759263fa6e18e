"""Measure how well the patches of a tiny ViT name what they lie on.

    python -m projects.shapeworld.evaluate_patches tiny-vit-whole --weights FILE

A patch counts if nearly all of it shows one segment. It is compared with all 58
classes and their synonyms, as the tower leaves it and with its last blocks severed as
in DeOP; prints how many per cent are named rightly. The pictures are held out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from mmovseg.models.backbones import DenseCLIPViT
from mmovseg.models.structures import TextEmbeddings
from mmovseg.models.text import TextClassifier
from mmovseg.shapeworld.drawing import STUFF, ShapeSample, draw_numbered
from mmovseg.vocabulary import Vocabulary

from .evaluate_clip import name, normalize

PURE = 0.9  # share of a patch that one segment covers


def list_patches(sample: ShapeSample, side: int, patch: int) -> np.ndarray:
    """Return the class of every patch, -1 where it shows several; ``[h, w]``.

    Args:
        sample: A picture.
        side: Height and width that it is shown with.
        patch: Height and width of a patch.
    """
    size = side, side
    segments = cv2.resize(
        sample.segments.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
    )
    grid = side // patch
    cells = segments.reshape(grid, patch, grid, patch).transpose(0, 2, 1, 3)
    cells = cells.reshape(grid, grid, -1)
    shares = np.stack([(cells == i).mean(-1) for i in range(len(sample.labels))], -1)
    labels = np.asarray(sample.labels)[shares.argmax(-1)]
    return np.where(shares.max(-1) >= PURE, labels, -1)


@torch.no_grad()
def measure_patches(
    backbone: DenseCLIPViT, text: TextEmbeddings, pictures: list[ShapeSample], side: int
) -> dict[str, float]:
    """Return per cent of patches named rightly, of textures and of things."""
    right: dict[str, list[bool]] = dict(stuff=[], things=[])
    for sample in pictures:
        size = side, side
        image = cv2.resize(sample.image, size, interpolation=cv2.INTER_LINEAR)
        features = backbone(normalize(image[None]))[0].flatten(1).T  # [L, D]
        found = name(F.normalize(features, dim=-1)[None], text)[0].tolist()
        labels = list_patches(sample, side, backbone.stride).ravel().tolist()
        for label, guess in zip(labels, found, strict=True):
            if label >= 0:
                kind = 'stuff' if label < len(STUFF) else 'things'
                right[kind].append(label == guess)
    return {kind: round(100 * float(np.mean(x)), 1) for kind, x in right.items()}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='name of a JSON file of open_clip')
    parser.add_argument('--weights', required=True, help='tag or file')
    parser.add_argument('--num-pictures', type=int, default=200)
    parser.add_argument('--image-size', type=int, default=192, help='as drawn')
    parser.add_argument('--side', type=int, default=96, help='as shown')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--append', type=Path, help='JSON lines file')
    args = parser.parse_args(argv)
    if args.num_pictures < 1:
        parser.error(f'--num-pictures must be at least 1, got {args.num_pictures}.')
    if min(args.image_size, args.side) < 32 or args.side % 8:
        parser.error('--image-size and --side must be at least 32, --side in eights.')
    return args


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure, print and return everything."""
    args = parse_args(argv)
    classifier = TextClassifier(args.model, args.weights, cache_dir=None)
    with torch.no_grad():
        text = classifier(Vocabulary.load('shapeworld'))
    pictures = [
        draw_numbered(args.seed, 'clip_val', i, args.image_size)
        for i in range(args.num_pictures)
    ]
    results = {}
    for severed in range(4):
        cut = [dict(block=-1 - i, alpha=1.0) for i in range(severed)]
        backbone = DenseCLIPViT(args.model, args.weights, severance=cut).eval()
        found = measure_patches(backbone, text, pictures, args.side)
        results[f'severed_{severed}'] = found
        print(f'{severed} blocks severed: {found}')
    if args.append is not None:
        with args.append.open('a') as file:
            file.write(json.dumps({'patches': args.model, **results}) + '\n')
    return results


if __name__ == '__main__':
    main()
