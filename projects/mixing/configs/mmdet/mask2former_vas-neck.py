"""Mask2Former of mmdet behind a VASNeck with names of its own."""

_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
model = dict(
    data_preprocessor=dict(batch_augments=None),
    backbone=dict(_delete_=True, type='mmovseg.CLIPConvBackbone', model_name='tiny-rn'),
    neck=dict(
        type='mmovseg.VASNeck',
        in_channels=[64, 128, 256, 512],
        hidden_channels=16,
        out_channels=32,
        text=dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}']),
        vocabulary=['dog', 'cat', 'kite', 'tree', 'stuff: grass'],
    ),
    panoptic_head=dict(
        in_channels=[32, 32, 32, 32],
        num_queries=10,
        num_things_classes=4,
        num_stuff_classes=1,
        loss_cls=dict(class_weight=[1.0] * 5 + [0.1]),
    ),
    panoptic_fusion_head=dict(num_things_classes=4, num_stuff_classes=1),
    train_cfg=dict(num_points=128),
    test_cfg=dict(max_per_image=20),
)
