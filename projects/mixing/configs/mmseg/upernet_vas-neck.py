"""UPerNet of mmseg behind a VASNeck with names of its own."""

default_scope = 'mmseg'
channels = [64, 128, 256, 512]
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(type='mmovseg.CLIPConvBackbone', model_name='tiny-rn'),
    neck=dict(
        type='mmovseg.VASNeck',
        in_channels=channels,
        hidden_channels=16,
        out_channels=32,
        text=dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}']),
        vocabulary=['dog', 'cat', 'kite', 'tree', 'grass'],
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=[32, 32, 32, 32],
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
