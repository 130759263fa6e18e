"""Compare ways to let the patches of a CLIP ViT name what they lie on.

    python -m projects.shapeworld.compare_repairs tiny-vit --weights shapeworld

Every row changes the attention of the last blocks and trains nothing: patch severance
of DeOP (GPS by its degrees in the last blocks; MPS, which is given the true masks),
SCLIP, ClearCLIP, NACLIP, MaskCLIP's value path and PEARL's rotation of keys. Those with
"in a whole block" keep the residual sum and the feed-forward network that the methods
leave out; the rotation "alone" leaves them out, which its paper may not. Of pictures
that no training has seen, patches and true masks, whose patches are averaged, are
compared with all 58 classes and their synonyms. The table is Markdown: per cent named
rightly.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.command_line import exit_on_error
from mmovseg.models.backbones import DenseCLIPViT
from mmovseg.models.ops import mask_pool
from mmovseg.models.structures import TextEmbeddings
from mmovseg.models.text import TextClassifier
from mmovseg.progress import Progress
from mmovseg.shapeworld.drawing import CLASSES, PATTERNED, SOLID, STUFF, ShapeSample
from mmovseg.vocabulary import Vocabulary

from .crops import draw_pictures
from .evaluate_clip import name, normalize

KINDS = {'textures': STUFF, 'solid': SOLID, 'patterned': PATTERNED}
SURE = 20.0  # mask logit of a probability of one
REPAIR = 'AttentionRepairLayer'
WHOLE = dict(residual_scale=1.0, feed_forward=True)
ALONE = dict(residual_scale=0.0, feed_forward=False)


def _gps(*alphas: float) -> list[dict]:
    """Sever the last blocks to these degrees, the last block last."""
    return [
        dict(block=index - len(alphas), mode='generalized', alpha=alpha)
        for index, alpha in enumerate(alphas)
    ]


def _repair(mode: str, **options: float) -> list[dict]:
    return [dict(block=-1, type=REPAIR, mode=mode, **options)]


ROWS = {
    'as it is': [],
    'GPS, 0.5 in the last block': _gps(0.5),
    'GPS, 1 in the last block': _gps(1),
    'GPS, 0.5 and 1 in the last two': _gps(0.5, 1),
    'GPS, 1 in the last two': _gps(1, 1),
    'GPS, 1 in the last three': _gps(1, 1, 1),
    'MPS in the last block (true masks)': [dict(block=-1, mode='mask_guided')],
    'SCLIP': _repair('sclip'),
    'ClearCLIP': _repair('clearclip'),
    'NACLIP': _repair('naclip'),
    "MaskCLIP's values": _repair('maskclip'),
    "PEARL's rotation": _repair('pearl'),
    "PEARL's rotation alone": _repair('pearl', **ALONE),
    'ClearCLIP in a whole block': _repair('clearclip', **WHOLE),
    'NACLIP in a whole block': _repair('naclip', **WHOLE),
    'SCLIP behind GPS, 1': [*_gps(1, 1)[:1], *_repair('sclip')],
}


def label_patches(sample: ShapeSample, grid: tuple[int, int]) -> np.ndarray:
    """Return the class that most pixels of each patch show, ``[h, w]``."""
    labels = np.array(sample.labels)[sample.segments]
    height, width = (a // b for a, b in zip(labels.shape, grid, strict=True))
    tiles = labels.reshape(grid[0], height, grid[1], width).swapaxes(1, 2)
    return np.apply_along_axis(
        lambda x: np.bincount(x).argmax(), -1, tiles.reshape(*grid, -1)
    )


def measure(
    tower: DenseCLIPViT, text: TextEmbeddings, pictures: Sequence[ShapeSample]
) -> dict[str, float]:
    """Return per cent of patches, and of true masks, that are named rightly.

    Args:
        tower: Embeds patches.
        text: All classes.
        pictures: Their sides are multiples of a patch.

    Returns:
        By ``'patches'`` or ``'masks'`` and a kind of classes, such as ``'patches,
        solid'``, and of all: ``'patches'``, ``'masks'``.
    """
    right: dict[str, list[bool]] = defaultdict(list)

    def count(what: str, truth: np.ndarray, found: Tensor) -> None:
        for label, guess in zip(truth.ravel(), found.flatten().tolist(), strict=True):
            kind = next(k for k, names in KINDS.items() if CLASSES[label] in names)
            for group in (what, f'{what}, {kind}'):
                right[group].append(label == guess)

    for sample in pictures:
        ids = torch.from_numpy(sample.segments)
        masks = torch.stack([ids == index for index in range(len(sample.labels))])
        logits = SURE * (2 * masks[None].float() - 1)
        features = tower(normalize(sample.image[None]), logits)
        grid = (features.shape[-2], features.shape[-1])
        patches = features.flatten(2).transpose(1, 2)
        count('patches', label_patches(sample, grid), name(patches, text))
        pooled = F.normalize(mask_pool(features, logits), dim=-1)
        count('masks', np.array(sample.labels), name(pooled, text))
    return {group: 100 * float(np.mean(values)) for group, values in right.items()}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='name of a JSON file of open_clip, a ViT')
    parser.add_argument('--weights', default='shapeworld', help='tag or file')
    parser.add_argument('--num-pictures', type=int, default=300)
    parser.add_argument('--image-size', type=int, default=128)
    parser.add_argument('--seed', type=int, default=1)
    args = parser.parse_args(argv)
    if args.num_pictures < 1:
        parser.error(f'--num-pictures must be at least 1, got {args.num_pictures}.')
    if args.image_size < 32:
        parser.error(f'--image-size must be at least 32, got {args.image_size}.')
    return args


@torch.no_grad()
def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Measure, print and return everything."""
    args = parse_args(argv)
    with exit_on_error():
        classifier = TextClassifier(args.model, args.weights, cache_dir=None)
        towers = {
            title: DenseCLIPViT(args.model, args.weights, severance=severance)
            for title, severance in ROWS.items()
        }
        stride = next(iter(towers.values())).stride
        if args.image_size % stride:
            raise ValueError(
                f'--image-size {args.image_size} is no multiple of the patches of '
                f'{args.model}, {stride} pixels.'
            )
    text = classifier(Vocabulary.load('shapeworld'))
    sizes = [args.image_size]
    pictures = draw_pictures('clip_val', args.num_pictures, seed=args.seed, sizes=sizes)
    columns = [
        f'{what}{kind}'
        for what in ('patches', 'masks')
        for kind in ('', *(f', {kind}' for kind in KINDS))
    ]
    results = {}
    with Progress(len(towers), 'Repairs', 'row') as progress:
        for title, tower in towers.items():
            results[title] = measure(tower, text, pictures)
            progress.update()
    print(f'| | {" | ".join(columns)} |\n|---|{"--:|" * len(columns)}')
    for title, row in results.items():
        cells = (f'{row[x]:.1f}' if x in row else '' for x in columns)
        print(f'| {title} | {" | ".join(cells)} |')
    return results


if __name__ == '__main__':
    main()
