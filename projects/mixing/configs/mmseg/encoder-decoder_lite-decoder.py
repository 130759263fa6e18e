"""The light decoder of EOV-Seg in mmseg's EncoderDecoder, with classes by number."""

default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=16,
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='mmovseg.MaskDecodeHead',
        in_channels=[8, 16, 32, 64],
        num_classes=5,
        embed_channels=64,
        neck=dict(
            type='mmovseg.VASNeck',
            text_channels=None,
            hidden_channels=16,
            out_channels=32,
        ),
        decoder=dict(
            type='mmovseg.LiteDecoder',
            channels=32,
            num_stages=2,
            num_queries=8,
            head=dict(type='mmovseg.MaskEmbedHead'),
        ),
        criterion=dict(type='mmovseg.MaskSetLoss', num_points=64),
    ),
    test_cfg=dict(mode='whole'),
)
