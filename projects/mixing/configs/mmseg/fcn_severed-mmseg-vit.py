"""FCN of mmseg on mmseg's own ViT, whose last two blocks are severed."""

default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='mmovseg.SeveredViT',
        backbone=dict(
            type='VisionTransformer',
            img_size=(64, 64),
            patch_size=8,
            embed_dims=96,
            num_layers=4,
            num_heads=3,
            out_indices=[3],
        ),
        severance=[dict(block=-2, alpha=0.5), dict(block=-1, alpha=1.0)],
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=96,
        channels=16,
        num_convs=1,
        num_classes=5,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
