"""Mask2Former of mmdet on panoptic data of mmdet, measured by our metrics.

Test: python MMDET/.mim/tools/test.py THIS_FILE CHECKPOINT, the tool of mmdet.
"""

_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
data_root = '{{$MMOVSEG_DATA:data}}/mixing/'
ann_file = data_root + 'annotations/panoptic_val.json'
seg_prefix = data_root + 'annotations/panoptic_val/'
instances = data_root + 'annotations/instances_val.json'
model = dict(
    data_preprocessor=dict(batch_augments=None),
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        base_channels=8,
        stem_channels=16,
        norm_cfg=dict(type='BN'),
    ),
    panoptic_head=dict(
        in_channels=[8, 16, 32, 64],
        num_queries=10,
        num_things_classes=4,
        num_stuff_classes=1,
        loss_cls=dict(class_weight=[1.0] * 5 + [0.1]),
    ),
    panoptic_fusion_head=dict(num_things_classes=4, num_stuff_classes=1),
    train_cfg=dict(num_points=128),
    test_cfg=dict(max_per_image=20, object_mask_thr=0.0, iou_thr=0.0),
)
names = dict(thing_classes=['dog', 'cat', 'kite', 'cup'], stuff_classes=['grass'])
test_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        metainfo=dict(classes=['dog', 'cat', 'kite', 'cup', 'grass'], **names),
        # Our metrics read the annotation themselves; mmdet's transform for it would
        # need panopticapi.
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(96, 64), keep_ratio=True),
            dict(
                type='PackDetInputs',
                meta_keys=(
                    *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
                ),
            ),
        ],
    ),
)
test_evaluator = [
    dict(type='mmovseg.PanopticMetric', ann_file=ann_file, seg_prefix=seg_prefix),
    dict(type='mmovseg.InstanceMetric', ann_file=instances, metric=['segm', 'bbox']),
    dict(type='CocoMetric', ann_file=instances, metric=['segm', 'bbox']),
]
