"""FCN of mmseg on a ViT of timm, whose last block is severed."""

default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='mmovseg.SeveredViT',
        backbone=dict(
            type='mmovseg.TimmViTBackbone', model_name='test_vit', out_indices=[-1]
        ),
        severance=[dict(block=-1, alpha=1.0)],
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        channels=16,
        num_convs=1,
        num_classes=5,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
