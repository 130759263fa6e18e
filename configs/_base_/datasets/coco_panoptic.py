"""COCO 2017 panoptic: 133 classes, the recipe of EOV-Seg (LSJ 1024, batch 16).

    coco/{train,val}2017/*.jpg
    coco/annotations/panoptic_{train,val}2017.json and panoptic_{train,val}2017/*.png
    coco/annotations/instances_val2017.json

MMOVSEG_DATA names the folder that holds coco/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/coco/'
vocabulary = 'coco_panoptic'

train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        resize_type='mmdet.Resize',  # mmcv's would leave the masks as they are
        scale=(1024, 1024),
        ratio_range=(0.1, 2.0),
        keep_ratio=True,
    ),
    # Deviates: the released code draws one random fraction for both axes, and keeps
    # segments outside the crop as empty masks.
    dict(
        type='mmdet.RandomCrop',
        crop_size=(1024, 1024),
        crop_type='absolute',
        recompute_bbox=True,
        allow_negative_crop=True,  # stuff is worth learning where no thing is
    ),
    # Grey before normalization, as official; the preprocessor would pad with 0 after
    # it, which is the mean color. The 255 is no class.
    dict(type='mmdet.Pad', size=(1024, 1024), pad_val=dict(img=128, seg=255)),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Short side 640, long side at most 2560.
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,  # on 4 GPUs
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='PanopticDataset',
        metainfo=dict(vocabulary=vocabulary),
        data_root=data_root,
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PanopticDataset',
        metainfo=dict(vocabulary=vocabulary),
        data_root=data_root,
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

panoptic = dict(
    ann_file=data_root + 'annotations/panoptic_val2017.json',
    seg_prefix=data_root + 'annotations/panoptic_val2017/',
)
val_evaluator = [
    dict(type='PanopticMetric', **panoptic),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
        metric='segm',
    ),
    dict(type='SemanticMetric', **panoptic),
]
test_evaluator = val_evaluator
