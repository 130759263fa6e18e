"""DeOP on the masks of mmdet's Mask2Former head."""

_base_ = '../_base_/mask2former_head.py'
default_scope = 'mmovseg'
clip = dict(model_name='tiny-vit')
model = dict(
    type='DeOP',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    proposals=dict(
        type='MMDetProposals',
        backbone=dict(
            type='mmseg.ResNetV1c',
            depth=18,
            base_channels=8,
            stem_channels=16,
            norm_cfg=dict(type='BN'),
        ),
        head=_base_.mask2former_head,
    ),
    backbone=dict(type='DenseCLIPViT', **clip),
    head=dict(type='CALHead', num_queries=8),
    text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
    criterion=dict(type='SemanticMapLoss'),
    fusion=dict(type='MaskFusion', panoptic=False, instance=False),
    train_vocabulary=['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'grass'],
)
