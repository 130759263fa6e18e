"""ShapeWorld: drawn textures and shapes, 10 stuff and 48 thing classes.

Training pictures show 47 of them, and their JSON names no other; evaluation asks for
all 58. See mmovseg/shapeworld/drawing.py for the split.

Draw it with tools/dataset_converters/make_shapeworld.py. MMOVSEG_DATA names the
folder that holds the data sets (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/shapeworld/'
vocabulary = 'shapeworld'
train_vocabulary = 'shapeworld_seen'

train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='mmdet.Resize', scale=(192, 192), keep_ratio=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(192, 192), keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='PanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        metainfo=dict(vocabulary=train_vocabulary),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PanopticDataset',
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

panoptic = dict(
    ann_file=data_root + 'annotations/panoptic_val.json',
    seg_prefix=data_root + 'annotations/panoptic_val/',
)
val_evaluator = [
    dict(type='PanopticMetric', classwise=True, seen=train_vocabulary, **panoptic),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'annotations/instances_val.json',
        metric='segm',
        seen=train_vocabulary,
    ),
    dict(type='SemanticMetric', seen=train_vocabulary, **panoptic),
]
test_evaluator = val_evaluator
