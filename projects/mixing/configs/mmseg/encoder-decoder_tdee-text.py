"""Neck, decoder and experts of EOV-Seg in mmseg's EncoderDecoder, classes by name.

The third map of the backbone is the spatial branch.
"""

default_scope = 'mmseg'
clip = dict(model_name='tiny-rn')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(type='mmovseg.CLIPConvBackbone', **clip),
    decode_head=dict(
        type='mmovseg.MaskDecodeHead',
        in_channels=[64, 128, 256, 512],
        vocabulary=['dog; puppy', 'cat', 'cup', 'car', 'grass'],
        text=dict(type='mmovseg.TextClassifier', templates=['a {}'], **clip),
        spatial_index=2,
        neck=dict(type='mmovseg.VASNeck', hidden_channels=16, out_channels=32),
        decoder=dict(
            type='mmovseg.LiteDecoder',
            channels=32,
            num_stages=2,
            num_queries=8,
            head=dict(type='mmovseg.TDEEHead'),
        ),
        criterion=dict(type='mmovseg.MaskSetLoss', num_points=64),
    ),
    test_cfg=dict(mode='whole'),
)
