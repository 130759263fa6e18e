"""DeOP on a dense backbone that is no CLIP, with proposals of its own."""

default_scope = 'mmovseg'
clip = dict(model_name='tiny-vit')
model = dict(
    type='DeOP',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    proposals=dict(
        type='MaskFormerProposals',
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            base_channels=8,
            stem_channels=16,
            norm_cfg=dict(type='BN'),
        ),
        num_queries=8,
        channels=32,
        num_layers=1,
        ffn_channels=32,
    ),
    backbone=dict(
        type='mmseg.ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=16,
        norm_cfg=dict(type='BN'),
        out_indices=(2,),
    ),
    head=dict(type='CALHead', num_queries=8),
    text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
    criterion=dict(type='SemanticMapLoss'),
    fusion=dict(type='MaskFusion', panoptic=False, instance=False),
    train_vocabulary=['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'grass'],
)
