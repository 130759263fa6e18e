"""Mask2Former of mmdet whose classes are names, with our fusion of masks."""

_base_ = '../_base_/mask2former_head.py'
default_scope = 'mmdet'
clip = dict(model_name='tiny-rn')
classes = dict(num_things_classes=4, num_stuff_classes=1)
vocabulary = ['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'stuff: grass']
model = dict(
    type='Mask2Former',
    data_preprocessor=dict(
        type='DetDataPreprocessor', pad_size_divisor=32, pad_mask=True, pad_seg=True
    ),
    backbone=dict(type='mmovseg.CLIPConvBackbone', **clip),
    panoptic_head=dict(
        type='mmovseg.TextHead',
        text=dict(type='mmovseg.TextClassifier', templates=['a {}'], **clip),
        vocabulary=vocabulary,
        head=dict(
            **_base_.mask2former_head, in_channels=[64, 128, 256, 512], **classes
        ),
    ),
    panoptic_fusion_head=dict(
        type='mmovseg.MaskFusionHead', vocabulary=vocabulary, **classes
    ),
    train_cfg=dict(
        num_points=64,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=2.0),
                dict(type='CrossEntropyLossCost', weight=5.0, use_sigmoid=True),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0),
            ],
        ),
        sampler=dict(type='MaskPseudoSampler'),
    ),
    test_cfg=dict(panoptic_on=True, instance_on=True, max_per_image=10),
)
