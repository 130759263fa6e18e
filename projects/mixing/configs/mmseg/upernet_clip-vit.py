"""UPerNet of mmseg on four blocks of a CLIP ViT, of which the last two train."""

default_scope = 'mmseg'
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='mmovseg.CLIPViTBackbone',
        model_name='tiny-vit',
        out_indices=[2, 3, 4, 5],
        frozen_stages=4,
    ),
    neck=dict(
        type='Feature2Pyramid',
        embed_dim=96,
        rescales=[4, 2, 1, 0.5],
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=[96, 96, 96, 96],
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
