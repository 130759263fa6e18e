"""A head in the manner of YOSO behind a VASNeck that is the neck of mmseg's model.

The kernels of queries are refined in stages by dynamic depthwise convolutions of what
their masks cover; masks are their products with the finest map of the neck.
"""

default_scope = 'mmseg'
classes = ['dog', 'cat', 'kite', 'tree', 'grass']
clip = dict(model_name='tiny-rn')
names = dict(type='mmovseg.TextClassifier', templates=['a {}'], **clip)
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
    neck=dict(
        type='mmovseg.VASNeck',
        in_channels=[8, 16, 32, 64],
        hidden_channels=16,
        out_channels=32,
        out_indices=[0],  # the head takes no pyramid
        text=names,
        vocabulary=classes,
    ),
    decode_head=dict(
        type='mmovseg.MaskDecodeHead',
        in_channels=[32],
        text=names,
        vocabulary=classes,
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
