"""Turn an official FC-CLIP checkpoint into one of mmovseg.

Usage:
    python tools/model_converters/fcclip_to_mmovseg.py SRC DST

SRC is a file of FC-CLIP's model zoo. Some of these files lack CLIP's text tower; the
converter then takes it from open_clip, which may download it. The result needs nothing
else: ``init_model(config, DST)`` downloads nothing.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mmovseg.command_line import exit_on_error
from mmovseg.fileio import printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('src', type=Path, help='official checkpoint (.pth)')
    parser.add_argument('dst', type=Path, help='where to write ours (.pth)')
    parser.add_argument(
        '--config', help='refuse a file of another size than that of this config'
    )
    parser.add_argument(
        '--clip',
        metavar='FILE',
        help="CLIP's weights, if SRC lacks a part of them (default: from open_clip)",
    )
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from torch import Tensor

from mmovseg.apis import conversion
from mmovseg.apis.config import load_config
from mmovseg.apis.conversion import check, expected_shapes, read, report, save
from mmovseg.models.clip import create_clip

# Official names on the left; the first match decides.
CLIP = r'backbone\.clip_model\.'
PIXELS = r'sem_seg_head\.pixel_decoder\.'
ENCODER = PIXELS + r'transformer\.encoder\.layers\.(\d+)\.'
QUERIES = r'sem_seg_head\.predictor\.'
RULES: list[tuple[str, str]] = [
    (CLIP + r'visual\.', 'backbone.visual.'),
    (CLIP + r'logit_scale$', 'text_classifier.logit_scale'),
    (
        CLIP + r'(positional_embedding|text_projection|token_embedding|'
        r'transformer|ln_final)',
        r'text_classifier.clip.\1',
    ),
    (r'void_embedding\.', 'text_classifier.void_embedding.'),
    (PIXELS + r'input_proj\.', 'neck.input_projections.'),
    (PIXELS + r'transformer\.level_embed$', 'neck.level_position'),
    (ENCODER + r'self_attn\.', r'neck.layers.\1.'),
    (ENCODER + r'linear1\.', r'neck.layers.\1.ffn.0.'),
    (ENCODER + r'linear2\.', r'neck.layers.\1.ffn.2.'),
    (ENCODER + r'norm', r'neck.layers.\1.norm'),
    (PIXELS + r'adapter_1\.norm\.', 'neck.lateral.1.'),
    (PIXELS + r'adapter_1\.', 'neck.lateral.0.'),
    (PIXELS + r'layer_1\.norm\.', 'neck.output.1.'),
    (PIXELS + r'layer_1\.', 'neck.output.0.'),
    (PIXELS + r'mask_features\.', 'neck.mask_features.'),
    *(
        (
            QUERIES + rf'transformer_{part}_layers\.(\d+)\.{old}',
            rf'decoder.layers.\1.{new}',
        )
        for part, old, new in (
            ('cross_attention', r'multihead_attn\.', 'cross_attention.'),
            ('cross_attention', r'norm\.', 'norm1.'),
            ('self_attention', r'self_attn\.', 'self_attention.'),
            ('self_attention', r'norm\.', 'norm2.'),
            ('ffn', r'linear1\.', 'ffn.0.'),
            ('ffn', r'linear2\.', 'ffn.2.'),
            ('ffn', r'norm\.', 'norm3.'),
        )
    ),
    (QUERIES + r'(query_feat|query_embed|level_embed)\.', r'decoder.\1.'),
    (QUERIES + r'decoder_norm\.', 'decoder.norm.'),
    (QUERIES + r'logit_scale$', 'decoder.head.logit_scale'),
    (QUERIES + r'_mask_pooling_proj\.', 'decoder.head.mask_proj.'),
    *(
        (QUERIES + rf'{old}\.layers\.{i}\.', f'decoder.{new}.{2 * i}.')
        for old, new in (('mask_embed', 'mask_embed'), ('class_embed', 'head.embed'))
        for i in range(3)
    ),
]
UNUSED = re.compile(r'criterion\.empty_weight$')  # class weights of the loss
# The width of the text space and the channels of the finest map tell sizes apart.
CONFIGS = {
    (1024, 256): 'fcclip_r50_coco',
    (512, 256): 'fcclip_r101_coco',
    (640, 320): 'fcclip_r50x4_coco',
    (768, 384): 'fcclip_r50x16_coco',
    (1024, 512): 'fcclip_r50x64_coco',
    (768, 192): 'fcclip_convnext-l_coco',
}
# What open_clip can supply.
FROM_CLIP = ('backbone.visual.', 'text_classifier.clip.', 'text_classifier.logit_scale')


def rename(name: str) -> str | None:
    """Return our name of an official one; None if no rule knows it."""
    return conversion.rename(name, RULES)


def convert(
    official: dict[str, Tensor],
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Rename an official state dict.

    Returns:
        Our state dict, the names dropped because nothing uses them, and the names
        that no rule knows.
    """
    return conversion.rename_all(official, RULES, UNUSED)


def find_config(converted: dict[str, Tensor]) -> str | None:
    """Return the config of a checkpoint's size; None if it is of no known size."""
    void = converted.get('text_classifier.void_embedding.weight')
    lateral = converted.get('neck.lateral.0.weight')
    if void is None or lateral is None or void.dim() != 2 or lateral.dim() != 4:
        return None
    return CONFIGS.get((void.shape[1], lateral.shape[1]))


def _size(config: str) -> str:
    return Path(config).stem.rsplit('_', 1)[0]  # without the data


def read_clip(config: str, clip: str | None) -> dict[str, Tensor]:
    """Build CLIP with open_clip and return its weights by our names.

    Args:
        config: Packaged config, which names the CLIP.
        clip: A file with the weights of this CLIP; None downloads them.

    Raises:
        ValueError: If the weights are not there.
    """
    backbone = load_config(config).model.backbone
    source = clip or backbone.pretrained
    try:
        weights = create_clip(backbone.model_name, source).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f'CLIP {backbone.model_name!r} could not be loaded from {source!r}. Give '
            f'its weights with --clip FILE. ({error})'
        ) from error
    prefix = 'backbone.clip_model.'
    return convert({prefix + name: value for name, value in weights.items()})[0]


def main() -> None:
    """Convert one file and report."""
    args = parse_args()
    with exit_on_error():
        official = read(args.src)
    converted, dropped, unknown = convert(official)
    config = find_config(converted)
    if config is None:
        sys.exit(
            f'{args.src} is no FC-CLIP checkpoint of a known size: it needs '
            'void_embedding.weight and sem_seg_head.pixel_decoder.adapter_1.weight of '
            f'one of the sizes {sorted(CONFIGS.values())}; first names found: '
            f'{list(official)[:5]}.'
        )
    if args.config and _size(args.config) != _size(config):
        sys.exit(
            f'error: {args.src} has the size of {config}, not of {args.config}; '
            'nothing was written.'
        )
    shapes = expected_shapes(config)
    missing, wrong = check(converted, shapes)
    supplied = [name for name in missing if name.startswith(FROM_CLIP)]
    missing = [name for name in missing if name not in supplied]
    problems = dict(unknown=unknown, missing=missing, mismatch=wrong)
    print(f'{printable(args.src)}: {len(official)} entries, config {config}')
    print(report(len(converted), dropped, problems))
    if any(problems.values()):
        sys.exit(f'{args.src} does not fit {config}; nothing was written.')
    if supplied:
        print(f'  from CLIP {len(supplied)} (the file lacks them)')
        with exit_on_error():
            clip = read_clip(config, args.clip)
        converted |= {name: clip[name] for name in supplied}
    meta = dict(config=config, source='official FC-CLIP')
    save(args.dst, dict(state_dict=converted, meta=meta))
    print(
        f'Wrote {printable(args.dst)}. '
        f'Use it as init_model({config!r}, {str(args.dst)!r}).'
    )


if __name__ == '__main__':
    main()
