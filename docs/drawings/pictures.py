"""Draw the pictures of the documentation that the packaged tiny models make.

    python docs/drawings/pictures.py

Writes docs/images/{vocabularies,explain,thresholds,severance}.png. All show the first
drawing of ShapeWorld's validation set that has three things. So it was chosen by its
ground truth, not by a result.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmovseg.analysis.explain import draw_explanations, explain
from mmovseg.apis import OVSegInferencer, draw_heatmap, side_by_side
from mmovseg.models.backbones import DenseCLIPViT
from mmovseg.models.text import TextClassifier
from mmovseg.shapeworld.drawing import STUFF, draw_numbered
from mmovseg.vocabulary import Vocabulary

IMAGES = Path(__file__).resolve().parents[1] / 'images'
SEED, SIZE = 0, 192  # of make_shapeworld.py --size full
SHAPES = 'circle', 'square', 'triangle', 'cross', 'star', 'heart'
PAINTS = 'red', 'orange', 'yellow', 'green', 'blue', 'purple', 'striped', 'dotted'
GROUND = (
    'stuff: ground; grass; water; sand; brick; wood; gravel; tiles; snow; carpet; sky'
)
VOCABULARIES = {
    'all 58 names': 'shapeworld',
    'by shape': [
        *('; '.join([x, *(f'{paint} {x}' for paint in PAINTS)]) for x in SHAPES),
        GROUND,
    ],
    'by color': [
        *('; '.join([x, *(f'{x} {shape}' for shape in SHAPES)]) for x in PAINTS),
        GROUND,
    ],
}
THRESHOLDS = {
    'as in the config': {},
    'object_mask_thr = 0.5': dict(object_mask_thr=0.5),
    'iou_thr = 0.95': dict(iou_thr=0.95),
    'score_thr = 0.5': dict(score_thr=0.5),
}


def find_drawing() -> tuple[np.ndarray, list[str]]:
    """Return the picture, RGB, and the names of its three things."""
    names = Vocabulary.load('shapeworld').names
    for number in range(1000):
        sample = draw_numbered(SEED, 'val', number, SIZE)
        things = [names[x] for x in sample.labels if x >= len(STUFF)]
        if len(set(things)) == len(things) == 3:
            return sample.image, things
    raise RuntimeError('No drawing has three things.')


def draw_vocabularies(model: OVSegInferencer, image: np.ndarray) -> np.ndarray:
    """Draw one picture with several lists of names."""
    panels = []
    for vocabulary in VOCABULARIES.values():
        called = model(image[..., ::-1], vocabulary=vocabulary, return_vis=True)
        panels.append(called['visualization'][0])
    return side_by_side(panels, list(VOCABULARIES))


def draw_thresholds(model: OVSegInferencer, image: np.ndarray) -> np.ndarray:
    """Draw one picture with several thresholds."""
    panels = []
    for options in THRESHOLDS.values():
        options = dict(options)
        score_thr = options.pop('score_thr', None)
        changed = OVSegInferencer(
            'tiny',
            show_progress=False,
            cfg_options={f'model.fusion.{k}': v for k, v in options.items()},
        )
        called = changed(image[..., ::-1], return_vis=True, score_thr=score_thr)
        panels.append(called['visualization'][0])
    return side_by_side(panels, list(THRESHOLDS))


def draw_severance(image: np.ndarray, names: list[str]) -> np.ndarray:
    """Draw how well each patch fits some names, with and without severance."""
    text = TextClassifier('tiny-vit', 'shapeworld', templates='vild')
    rows = text(Vocabulary.load('shapeworld'))
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    mean, std = pixels.new_tensor(MEAN), pixels.new_tensor(STD)
    pixels = (pixels - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    known = Vocabulary.load('shapeworld').names
    panels = []
    for severance in ([], [dict(block=-1, alpha=1.0)]):
        vit = DenseCLIPViT('tiny-vit', 'shapeworld', severance=severance).eval()
        with torch.no_grad():
            features = vit(pixels, None)[0].permute(1, 2, 0)  # [h, w, D]
            cosines = rows.logits(features, 1.0)[..., :-1]
        for name in names:
            heat = cosines[..., known.index(name)].numpy()
            panels.append(draw_heatmap(image, heat - heat.min()))
    titles = [f'{x}, {how}' for how in ('as CLIP is', 'severed') for x in names]
    top, bottom = (
        side_by_side(panels[i : i + len(names)], titles[i : i + len(names)])
        for i in (0, len(names))
    )
    return np.concatenate([top, bottom])


MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the configs


def main() -> None:
    """Write all pictures."""
    image, things = find_drawing()
    model = OVSegInferencer('tiny', show_progress=False)
    result, found = explain(model, image[..., ::-1], nearest=4)
    pictures = dict(
        vocabularies=draw_vocabularies(model, image),
        explain=draw_explanations(result, found[:4]),
        thresholds=draw_thresholds(model, image),
        severance=draw_severance(image, things),
    )
    for name, picture in pictures.items():
        reduced = Image.fromarray(picture).quantize(128)
        reduced.save(IMAGES / f'{name}.png', optimize=True)


if __name__ == '__main__':
    main()
