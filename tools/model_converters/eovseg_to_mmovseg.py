"""Turn an official EOV-Seg checkpoint (S, M or L) into one of mmovseg.

Usage:
    python tools/model_converters/eovseg_to_mmovseg.py SRC DST

The result needs nothing else: ``init_model(config, DST)`` downloads nothing.
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
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from torch import Tensor

from mmovseg.apis import conversion
from mmovseg.apis.conversion import check, expected_shapes, read, report, save

# Official names on the left; the first match decides. {} counts levels or stages.
CNN = r'cnn_backbone\.clip_model\.'
VIT = r'vit_backbone\.clip_model\.'
UP = r'lite_aggr\.deconv\.deform_conv'
VAS = r'light_weight_decoder\.vas\.'
STAGE = r'light_weight_decoder\.mask_heads\.(\d+)\.'
RULES: list[tuple[str, str]] = [
    (CNN + r'visual\.', r'backbone.visual.'),
    (CNN + r'logit_scale$', r'text_classifier.logit_scale'),
    (
        CNN + r'(positional_embedding|text_projection|token_embedding|'
        r'transformer|ln_final)',
        r'text_classifier.clip.\1',
    ),
    (
        VIT + r'visual\.(class_embedding|positional_embedding|conv1|ln_pre|'
        r'transformer\.resblocks\.0)(?=\.|$)',
        r'spatial_backbone.intermediates.visual.\1',
    ),
    (r'void_embedding\.', r'text_classifier.void_embedding.'),
    *(
        (rf'lite_aggr\.deconv\.lateral_conv{i}\.', f'neck.aggregator.laterals.{3 - i}.')
        for i in range(4)
    ),
    *(
        (rf'{UP}{i}\.{old}', f'neck.aggregator.upsamples.{3 - i}.{new}')
        for i in (1, 2, 3)
        for old, new in (
            (r'dcn_offset\.', 'offset.'),
            (r'dcn\.weight', 'weight'),
            (r'dcn_bn\.', 'norm1.'),
            (r'up_sample\.', 'upsample.'),
            (r'up_bn\.', 'norm2.'),
        )
    ),
    (r'lite_aggr\.deconv\.conv_a5\.', 'neck.aggregator.projections.3.'),
    (r'lite_aggr\.deconv\.conv_a4\.', 'neck.aggregator.projections.2.'),
    (r'lite_aggr\.deconv\.conv_a3\.', 'neck.aggregator.projections.1.'),
    (r'lite_aggr\.deconv\.conv_a2\.', 'neck.aggregator.projections.0.'),
    (r'lite_aggr\.deconv\.bias$', 'neck.aggregator.bias'),
    (r'lite_aggr\.deconv\.output_conv\.', 'neck.aggregator.fuse.'),
    (r'lite_aggr\.loc_conv\.', 'neck.aggregator.out.'),
    (VAS + r'(scale|offset)$', r'neck.selection.\1'),
    (VAS + r'embed_conv\.depthwise\.weight', 'neck.selection.embed.0.weight'),
    (VAS + r'embed_conv\.depthwise\.norm\.', 'neck.selection.embed.1.'),
    (VAS + r'embed_conv\.pointwise\.weight', 'neck.selection.embed.3.weight'),
    (VAS + r'embed_conv\.pointwise\.norm\.', 'neck.selection.embed.4.'),
    (VAS + r'guide_fc\.', 'neck.selection.guide.'),
    (r'light_weight_decoder\.object_kernels\.', 'decoder.object_kernels.'),
    (r'light_weight_decoder\.output_upscaling\.', 'decoder.spatial_upsample.'),
    (STAGE + r'logit_scale$', r'decoder.heads.\1.logit_scale'),
    *(
        (STAGE + old, rf'decoder.stages.\1.{new}')
        for old, new in (
            (r'f_atten\.weight_linear\.', 'refine_features.taps.'),
            (r'f_atten\.norm\.', 'refine_features.norm.'),
            (r'k_atten\.weight_linear\.', 'refine_kernels.taps.'),
            (r'k_atten\.norm\.', 'refine_kernels.norm.'),
            (r'f_atten_norm\.', 'features_norm.'),
            (r'k_atten_norm\.', 'kernels_norm.'),
            (r's_atten_norm\.', 'attention_norm.'),
            (r'ffn_norm\.', 'ffn_norm.'),
            (r's_atten\.', 'self_attention.'),
            (r'ffn\.layers\.0\.0\.', 'ffn.0.'),
            (r'ffn\.layers\.1\.', 'ffn.2.'),
            (r'mask_fcs\.0\.', 'mask_kernels.0.'),
            (r'mask_fcs\.1\.', 'mask_kernels.1.'),
            (r'fc_mask\.', 'mask_kernels.3.'),
        )
    ),
    *(
        (STAGE + old, rf'decoder.heads.\1.{new}')
        for old, new in (
            (r'_mask_pooling_proj\.', 'mask_proj.'),
            (r'_spatial_mask_pooling_proj\.', 'spatial_proj.'),
            (r'tdee\.dynamic_layer\.', 'tdee.mask_params.'),
            (r'tdee\.input_layer\.', 'tdee.spatial_params.'),
            (r'tdee\.update_router\.', 'tdee.mask_router.'),
            (r'tdee\.input_router\.', 'tdee.spatial_router.'),
            (r'tdee\.norm_in\.', 'tdee.mask_router_norm.'),
            (r'tdee\.norm_out\.', 'tdee.mask_norm.'),
            (r'tdee\.input_norm_in\.', 'tdee.spatial_router_norm.'),
            (r'tdee\.input_norm_out\.', 'tdee.spatial_norm.'),
            (r'tdee\.fc_layer\.', 'tdee.out.'),
            (r'tdee\.fc_norm\.', 'tdee.out_norm.'),
            (r'class_embed\.layers\.0\.', 'embed.0.'),
            (r'class_embed\.layers\.1\.', 'embed.2.'),
            (r'class_embed\.layers\.2\.', 'embed.4.'),
        )
    ),
]
# In the file, but no part of the network: the rest of the ViT CLIP, and the class
# weights of the loss.
UNUSED = re.compile(VIT + r'|light_weight_decoder\.criterion\.empty_weight$')
# The width of CLIP's shared space tells the variants apart.
CONFIGS = {
    1024: 'eovseg_r50_coco',
    640: 'eovseg_r50x4_coco',
    768: 'eovseg_convnext-l_coco',
}


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
    converted, dropped, unknown = conversion.rename_all(official, RULES, UNUSED)
    for name in ('neck.selection.scale', 'neck.selection.offset'):
        if name in converted:
            converted[name] = converted[name].reshape(())
    return converted, dropped, unknown


def main() -> None:
    """Convert one file and report."""
    args = parse_args()
    with exit_on_error():
        check_writable(args.dst, [args.src])
        official = read(args.src)
    converted, dropped, unknown = convert(official)
    void = converted.get('text_classifier.void_embedding.weight')
    config = None if void is None or void.dim() != 2 else CONFIGS.get(void.shape[1])
    if config is None:
        sys.exit(
            f'{args.src} is no EOV-Seg checkpoint of size S, M or L: it needs '
            f'void_embedding.weight of shape [1, 1024], [1, 640] or [1, 768]; first '
            f'names found: {list(official)[:5]}.'
        )
    missing, wrong = check(converted, expected_shapes(config))
    problems = dict(unknown=unknown, missing=missing, mismatch=wrong)
    print(f'{printable(args.src)}: {len(official)} entries, config {config}')
    print(report(len(converted), dropped, problems))
    if any(problems.values()):
        sys.exit(f'{args.src} does not fit {config}; nothing was written.')
    meta = dict(config=config, source='official EOV-Seg')
    save(args.dst, dict(state_dict=converted, meta=meta))
    print(
        f'Wrote {printable(args.dst)}. '
        f'Use it as init_model({config!r}, {str(args.dst)!r}).'
    )


if __name__ == '__main__':
    main()
