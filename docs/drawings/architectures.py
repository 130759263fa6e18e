"""Draw the architectures of the models as SVG.

    python docs/drawings/architectures.py

Writes docs/images/architecture_{eovseg,deop,fcclip}.svg. A box has a place in a grid, a
title, the class that computes it, and a note. Arrows lead from one box to another.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

IMAGES = Path(__file__).resolve().parents[1] / 'images'
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 176, 62, 32, 34, 18
COLORS = {  # kind: fill, line, meaning
    'data': ('#f3f4f6', '#6b7280', 'input, result'),
    'frozen': ('#dbeafe', '#2563eb', 'frozen'),
    'trained': ('#ffedd5', '#ea580c', 'trained'),
    'rule': ('#dcfce7', '#16a34a', 'without weights'),
}


class Box(NamedTuple):
    """One step of a model."""

    column: int
    row: int
    title: str
    name: str
    kind: str = 'trained'
    note: str = ''

    @property
    def left(self) -> int:
        """The x of its left side."""
        return MARGIN + self.column * (WIDTH + GAP_X)

    @property
    def top(self) -> int:
        """The y of its upper side."""
        return MARGIN + self.row * (HEIGHT + GAP_Y)


IMAGE = Box(0, 1, 'image', '', 'data', '[B, 3, H, W]')
NAMES = Box(0, 0, 'names', 'Vocabulary', 'data', 'V names of K classes')
ONE_CLIP = dict(  # EOV-Seg and FC-CLIP
    image=IMAGE,
    names=NAMES,
    text=Box(1, 0, 'embed names', 'TextClassifier', 'frozen', '[V + 1, D], void last'),
    clip=Box(1, 1, 'image tower', 'CLIPConvBackbone', 'frozen', 'strides 4 to 32'),
    pool=Box(3, 2, 'embed by CLIP', 'CLIPConvBackbone', 'frozen', 'pool_masks'),
    cosine=Box(4, 0, 'compare', 'TextEmbeddings', 'rule', 'cosine, best synonym'),
    ensemble=Box(5, 1, 'mix with CLIP', 'GeometricEnsemble', 'rule', '[B, N, K + 1]'),
    fusion=Box(6, 1, 'merge masks', 'MaskFusion', 'rule'),
    result=Box(6, 0, 'segments', 'Result', 'data'),
)
DRAWINGS = {
    'eovseg': (
        ONE_CLIP
        | dict(
            neck=Box(2, 1, 'fuse, select', 'VASNeck', note='[B, C, H / 4, W / 4]'),
            decoder=Box(3, 1, 'kernels to masks', 'LiteDecoder', note='three stages'),
            vit=Box(1, 3, 'spatial detail', 'CLIPViTBackbone', 'frozen', 'first block'),
            head=Box(4, 1, 'embed masks', 'TDEEHead', note='[B, N, D]'),
        ),
        'names>text image>clip image/vit clip>neck text>neck neck>decoder '
        'decoder>head vit>head text>cosine head>cosine cosine>ensemble head>ensemble '
        'clip/pool decoder>pool pool>ensemble ensemble>fusion fusion>result',
    ),
    'deop': (
        dict(
            image=IMAGE,
            names=NAMES,
            prompt=Box(1, 0, 'text prompt', 'PromptLearner', note='learned words'),
            text=Box(2, 0, 'embed names', 'TextClassifier', 'frozen', '[V + 1, D]'),
            visual=Box(1, 1, 'visual prompt', 'AddedPrompt', note='added to tokens'),
            clip=Box(2, 1, 'CLIP, once', 'DenseCLIPViT', 'frozen', '[B, D, h, w]'),
            severance=Box(
                1, 3, 'last block', 'PatchSeveranceLayer', 'rule', 'patches apart'
            ),
            proposals=Box(1, 2, 'propose masks', 'MaskFormerProposals', 'frozen'),
            head=Box(3, 1, 'anchor queries', 'CALHead', note='[B, N, D], heatmaps'),
            cosine=Box(3, 0, 'compare', 'TextEmbeddings', 'rule', 'cosine times 100'),
            fusion=Box(4, 0, 'merge masks', 'MaskFusion', 'rule'),
            result=Box(5, 0, 'segments', 'Result', 'data'),
        ),
        'names>prompt prompt>text text>cosine image>visual visual>clip clip>head '
        'image/proposals severance>clip proposals>head proposals>fusion head>cosine '
        'cosine>fusion fusion>result',
    ),
    'fcclip': (
        ONE_CLIP
        | dict(
            neck=Box(2, 1, 'pixel decoder', 'MSDeformPixelDecoder', note='4 maps'),
            decoder=Box(
                3, 1, 'queries to masks', 'MaskedAttentionDecoder', note='nine layers'
            ),
            head=Box(4, 1, 'embed masks', 'MaskEmbedHead', note='[B, N, D]'),
        ),
        'names>text image>clip clip>neck neck>decoder decoder>head text>cosine '
        'head>cosine cosine>ensemble head>ensemble clip/pool decoder>pool '
        'pool>ensemble ensemble>fusion fusion>result',
    ),
}


def draw(boxes: dict[str, Box], arrows: str) -> str:
    """Return the SVG."""
    width = max(box.left for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.top for box in boxes.values()) + HEIGHT + MARGIN + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" text-anchor="middle">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#374151"/>'
        '</marker></defs>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#fff"/>',
    ]
    for arrow in arrows.split():
        up_first = '/' in arrow
        start, end = (boxes[name] for name in arrow.replace('/', '>').split('>'))
        parts.append(draw_arrow(start, end, up_first))
    parts += [draw_box(box) for box in boxes.values()]
    x, y = MARGIN, height - 18
    for fill, line, meaning in COLORS.values():
        parts.append(
            f'<rect x="{x}" y="{y - 10}" width="14" height="12" rx="3" fill="{fill}" '
            f'stroke="{line}"/><text x="{x + 20}" y="{y}" font-size="12" '
            f'text-anchor="start" fill="#374151">{meaning}</text>'
        )
        x += 40 + 7 * len(meaning)
    return '\n'.join([*parts, '</svg>', ''])


def draw_arrow(start: Box, end: Box, up_first: bool) -> str:
    """Draw a straight arrow, or one with a corner, between two boxes."""
    x, y = start.left + WIDTH // 2, start.top + HEIGHT // 2
    to_x, to_y = end.left + WIDTH // 2, end.top + HEIGHT // 2
    sign_x, sign_y = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
    half_w, half_h = WIDTH // 2, HEIGHT // 2
    if not sign_y:
        points = [(x + sign_x * half_w, y), (to_x - sign_x * half_w, y)]
    elif not sign_x:
        points = [(x, y + sign_y * half_h), (x, to_y - sign_y * half_h)]
    elif up_first:
        points = [(x, y + sign_y * half_h), (x, to_y), (to_x - sign_x * half_w, to_y)]
    else:
        points = [(x + sign_x * half_w, y), (to_x, y), (to_x, to_y - sign_y * half_h)]
    path = 'L'.join(f'{a} {b}' for a, b in points)
    return (
        f'<path d="M{path}" fill="none" stroke="#374151" stroke-width="1.5" '
        'marker-end="url(#tip)"/>'
    )


def draw_box(box: Box) -> str:
    """Draw a box with its texts."""
    fill, line, _ = COLORS[box.kind]
    x, y = box.left + WIDTH // 2, box.top
    texts = [(box.title, 20, 14, 'font-weight="bold"')]
    if box.name:
        texts.append((box.name, 37, 12, 'font-family="monospace"'))
    if box.note:
        texts.append((box.note, 53 if box.name else 40, 12, ''))
    return (
        f'<rect x="{box.left}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" '
        f'fill="{fill}" stroke="{line}"/>'
    ) + ''.join(
        f'<text x="{x}" y="{y + shift}" font-size="{size}" fill="#111827" {style}>'
        f'{escape(text)}</text>'
        for text, shift, size, style in texts
    )


def main() -> None:
    """Write all drawings."""
    for name, (boxes, arrows) in DRAWINGS.items():
        (IMAGES / f'architecture_{name}.svg').write_text(draw(boxes, arrows))


if __name__ == '__main__':
    main()
