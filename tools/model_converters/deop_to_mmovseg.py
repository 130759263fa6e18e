"""Turn an official DeOP, SimBaseline, prompt or backbone file into one of mmovseg.

Usage:
    python tools/model_converters/deop_to_mmovseg.py SRC DST [--config CONFIG]

A converted DeOP or SimBaseline file needs nothing else: ``init_model(config, DST)``
downloads nothing. Of a prompt file (stage 1) the prompt alone is kept, and detectron2's
R-103.pkl (DeepLab) is but a backbone of proposals: start training from them with
``tools/train.py CONFIG --init-from DST``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from mmovseg.command_line import exit_on_error
from mmovseg.fileio import check_writable, printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('src', type=Path, help='official checkpoint (.pth)')
    parser.add_argument('dst', type=Path, help='where to write ours (.pth)')
    parser.add_argument(
        '--config', help='the model to fit, if the file is not of the released one'
    )
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch
from torch import Tensor

from mmovseg.apis import conversion
from mmovseg.apis.conversion import check, expected_shapes, read, report, save

# Official names on the left; the first match decides.
RESNET = r'(?:backbone\.)?'
# Old files have the pixel decoder one level higher.
PIXELS = r'sem_seg_head\.(?:pixel_decoder\.)?'
QUERIES = r'sem_seg_head\.predictor\.'
CLIP = r'clip_adapter\.clip_model\.'
PROMPT = r'(?:.+\.)?prompt_learner\.'
LAYER = (
    (r'self_attn\.', 'self_attention.'),
    (r'multihead_attn(?:_my)?\.', 'cross_attention.'),
    (r'linear1\.', 'ffn.0.'),
    (r'linear2\.', 'ffn.3.'),
    (r'norm([123])\.', r'norm\2.'),
)
RULES: list[tuple[str, str]] = [
    *(
        (rf'{RESNET}stem\.conv{i}\.{old}', f'proposals.backbone.stem.{place}.')
        for i in (1, 2, 3)
        for old, place in ((r'norm\.', 3 * i - 2), ('', 3 * i - 3))
    ),
    *(
        (
            rf'{RESNET}res{level}\.(\d+)\.{old}',
            rf'proposals.backbone.layer{level - 1}.\1.{new}',
        )
        for level in (2, 3, 4, 5)
        for old, new in (
            (r'conv([123])\.norm\.', r'bn\2.'),
            (r'conv([123])\.', r'conv\2.'),
            (r'shortcut\.norm\.', 'downsample.1.'),
            (r'shortcut\.', 'downsample.0.'),
        )
    ),
    *(
        (
            rf'{PIXELS}{old}_{i}\.{last}',
            f'proposals.pixel_decoder.{new}.{i - 1}.{place}.',
        )
        for old, new in (('adapter', 'laterals'), ('layer', 'outputs'))
        for i in (1, 2, 3, 4)
        for last, place in ((r'norm\.', 1), ('', 0))
    ),
    (PIXELS + r'mask_features\.', 'proposals.pixel_decoder.mask_features.'),
    (QUERIES + r'input_proj\.', 'proposals.input_proj.'),
    (QUERIES + r'query_embed\.', 'proposals.queries.'),
    *(
        (
            QUERIES + rf'transformer\.decoder\.layers\.(\d+)\.{old}',
            rf'proposals.layers.\1.{new}',
        )
        for old, new in LAYER
    ),
    (QUERIES + r'transformer\.decoder\.norm\.', 'proposals.norm.'),
    *(
        (QUERIES + rf'{part}\.layers\.{i}\.', f'proposals.{part}.{2 * i}.')
        for part in ('mask_embed', 'class_embed')
        for i in (0, 1, 2)
    ),
    (r'clip_adapter\.non_object_embedding$', 'text_classifier.void_embedding.weight'),
    (CLIP + r'visual\.learned_position$', 'backbone.visual_prompt.tables.0'),
    # Prompts by prepending, [layers, n, C] in both.
    (
        CLIP + r'visual\.transformer\.deep_prompt_embeddings$',
        'backbone.visual_prompt.tokens',
    ),
    # Ours are counted on whatever the blocks are: see convert().
    (
        CLIP + r'visual\.transformer\.resblocks\.(\d+)\.learned_position$',
        r'backbone.visual_prompt.tables.block\1',
    ),
    (CLIP + r'visual\.', 'backbone.visual.'),
    (CLIP + r'logit_scale$', 'text_classifier.logit_scale'),
    (CLIP, 'text_classifier.clip.'),
    (PROMPT + r'(prefix|suffix)_prompt$', r'text_classifier.prompt_learner.\1'),
    *(
        (rf'decoder\.layers\.(\d+)\.{old}', rf'head.layers.\1.{new}')
        for old, new in LAYER
    ),
    (r'decoder\.outlayer\.self_attn\.', 'head.output.self_attention.'),
    (r'decoder\.outlayer\.norm1\.', 'head.output.norm.'),
    # Packed projections: see convert().
    (r'decoder\.outlayer\.multihead_attn_my\.in_proj_', 'head.output.packed_'),
    (r'query_embedding\.', 'head.queries.'),
]
# In the file, but no part of the network at inference: class weights of the loss, a
# norm of results that are thrown away, rows of CLIP's own token table, constants,
# ImageNet's classes.
UNUSED = re.compile(
    r'criterion\.empty_weight$|decoder\.norm\.|clip_adapter\.pixel_(mean|std)$|'
    rf'{PROMPT}(start|dot|end|pad)_signal$|{RESNET}(stem\.)?fc\.'
)
# Our names that a kind of model has no use for: DeOP computes the class embedding of
# the proposals and overwrites it, SimBaseline's crops see the plain CLIP.
WITHOUT = {
    'DeOP': re.compile(r'proposals\.class_embed\.'),
    'SimBaseline': re.compile(r'backbone\.visual_prompt\.'),
    'prompt': re.compile(r'(?!text_classifier\.prompt_learner\.)'),
}
CONFIGS = {
    'DeOP': 'deop_vit-b16_released_cocostuff-156',
    'SimBaseline': 'simbaseline_vit-b16_cocostuff-156',
}


def rename(name: str) -> str | None:
    """Return our name of an official one; None if no rule knows it."""
    return conversion.rename(name, RULES)


def find_kind(official: dict[str, Tensor]) -> str | None:
    """Tell the kinds of checkpoint apart; None is something else."""
    if 'query_embedding.weight' in official:
        return 'DeOP'
    if any(re.match(QUERIES, name) for name in official):
        return 'SimBaseline'  # DeOP's proposals (stage 2) too
    if any(re.match(PROMPT + r'(prefix|suffix)_prompt$', name) for name in official):
        return 'prompt'
    if any(re.match(RESNET + r'res2\.0\.', name) for name in official):
        return 'backbone'
    return None


def convert(
    official: dict[str, Tensor], kind: str
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Rename an official state dict and take packed projections apart.

    Args:
        official: Weights by official name.
        kind: From :func:`find_kind`.

    Returns:
        Our state dict, the names dropped because nothing uses them, and the names
        that no rule knows.
    """
    used, dropped = {}, []
    without = WITHOUT.get(kind)
    for name, value in official.items():
        if without is not None and without.match(rename(name) or ''):
            dropped.append(name)
        else:
            used[name] = value
    converted, constants, unknown = conversion.rename_all(used, RULES, UNUSED)
    dropped += constants
    for last in ('weight', 'bias'):
        packed = converted.pop(f'head.output.packed_{last}', None)
        if packed is not None:  # the values' rows are not used
            query, key, _ = packed.chunk(3)
            converted[f'head.output.query_proj.{last}'] = query.clone()
            converted[f'head.output.key_proj.{last}'] = key.clone()
    tables = r'backbone\.visual_prompt\.tables\.block(\d+)'
    blocks = sorted(int(x[1]) for x in map(re.compile(tables).match, converted) if x)
    for place, block in enumerate(blocks, start=1):
        table = converted.pop(f'backbone.visual_prompt.tables.block{block}')
        converted[f'backbone.visual_prompt.tables.{place}'] = table
    # The official norms are constants and count no batches.
    for name in [name for name in converted if name.endswith('running_var')]:
        counter = name.replace('running_var', 'num_batches_tracked')
        converted[counter] = torch.zeros((), dtype=torch.int64)
    return converted, dropped, unknown


def main() -> None:
    """Convert one file and report."""
    args = parse_args()
    with exit_on_error():
        check_writable(args.dst, [args.src])
        official = read(args.src)
        kind = find_kind(official)
        if kind is None:
            raise ValueError(
                f'{args.src} holds no DeOP, SimBaseline, prompt or ResNet of '
                f'detectron2; first names found: {list(official)[:5]}.'
            )
        config = CONFIGS.get(kind) and (args.config or CONFIGS[kind])
        shapes = None if config is None else expected_shapes(config)
    converted, dropped, unknown = convert(official, kind)
    missing, wrong = ([], []) if shapes is None else check(converted, shapes)
    problems = dict(unknown=unknown, missing=missing, mismatch=wrong)
    print(f'{printable(args.src)}: {len(official)} entries, {kind}, config {config}')
    print(report(len(converted), dropped, problems))
    if any(problems.values()):
        sys.exit(
            f'{args.src} does not fit {config or kind}; nothing was written. Another '
            'variant of the model needs its own --config.'
        )
    meta = dict(config=config, source=f'official {kind}')
    save(args.dst, dict(state_dict=converted, meta=meta))
    use = f'init_model({config!r}, {str(args.dst)!r})'
    if config is None:
        use = f'tools/train.py CONFIG --init-from {args.dst}'
    print(f'Wrote {printable(args.dst)}. Use it as {use}.')


if __name__ == '__main__':
    main()
