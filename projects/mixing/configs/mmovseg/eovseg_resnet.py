"""EOV-Seg on a backbone that is no CLIP: its scores come from the decoder alone."""

default_scope = 'mmovseg'
vocabulary = ['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'stuff: grass']
model = dict(
    type='EOVSeg',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    backbone=dict(
        type='mmseg.ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=16,
        norm_cfg=dict(type='BN'),
    ),
    spatial_backbone=None,
    ensemble=None,
    text_classifier=dict(
        type='TextClassifier', model_name='tiny-rn', templates=['a {}']
    ),
    neck=dict(type='VASNeck', hidden_channels=16, out_channels=32),
    decoder=dict(
        type='LiteDecoder',
        channels=32,
        num_stages=2,
        num_queries=8,
        head=dict(type='MaskEmbedHead'),
    ),
    criterion=dict(type='MaskSetLoss', num_points=64),
    fusion=dict(type='MaskFusion'),
    train_vocabulary=vocabulary,
)
