"""EOV-Seg with mmseg's FPN as neck and the third stage of a Swin as spatial branch."""

default_scope = 'mmovseg'
vocabulary = ['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'stuff: grass']
clip = dict(model_name='tiny-rn')
model = dict(
    type='EOVSeg',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    backbone=dict(type='CLIPConvBackbone', **clip),
    spatial_backbone=dict(
        type='mmseg.SwinTransformer',
        embed_dims=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 2, 2, 2),
        window_size=4,
        out_indices=(2,),
    ),
    ensemble=dict(alpha=0.4, beta=0.8),
    text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
    neck=dict(type='mmseg.FPN', out_channels=32, num_outs=4),
    decoder=dict(
        type='LiteDecoder',
        channels=32,
        num_stages=2,
        num_queries=8,
        head=dict(type='TDEEHead'),
    ),
    criterion=dict(type='MaskSetLoss', num_points=64),
    fusion=dict(type='MaskFusion'),
    train_vocabulary=vocabulary,
)
