"""SAN of mmseg with a frozen CLIP ViT of ours as image encoder.

The tower's first four blocks and, in front, what goes into the first one. The last two
are in the head, which recognizes masks with them. Needs compiled ops.
"""

_base_ = '../_base_/san.py'
model = dict(
    image_encoder=dict(
        type='mmovseg.CLIPViTBackbone',
        interpolate_mode='bicubic',
        model_name='tiny-vit',
        out_indices=[1, 2, 3],
        out_origin=True,
        output_cls_token=True,
    )
)
