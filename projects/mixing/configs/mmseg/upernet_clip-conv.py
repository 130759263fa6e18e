"""UPerNet of mmseg on a frozen convolutional CLIP."""

default_scope = 'mmseg'
channels = [64, 128, 256, 512]
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(type='mmovseg.CLIPConvBackbone', model_name='tiny-rn'),
    decode_head=dict(
        type='UPerHead',
        in_channels=channels,
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
