"""FCN of mmseg on the severed, dense CLIP ViT of DeOP."""

default_scope = 'mmseg'
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='mmovseg.DenseCLIPViT',
        model_name='tiny-vit',
        out_indices=[-1],
        severance=[dict(block=-1, alpha=1.0)],
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        channels=16,
        num_convs=1,
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
