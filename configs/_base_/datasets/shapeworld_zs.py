"""ShapeWorld as semantic segmentation: 47 classes are seen, 11 are not.

Training pictures show the seen classes, and their JSON names no other; evaluation asks
for all 58. For proposals (stage 2) and DeOP (stage 3).

Draw it with tools/dataset_converters/make_shapeworld.py. MMOVSEG_DATA names the
folder that holds the data sets (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/shapeworld/'
vocabulary = 'shapeworld'
train_vocabulary = 'shapeworld_seen'

labels = dict(
    type='LoadPanopticAnnotations', with_bbox=False, with_label=False, with_mask=False
)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    labels,
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=8,
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
    dict(type='SemanticMetric', seen=train_vocabulary, classwise=True, **panoptic)
]
test_evaluator = val_evaluator
# What a leaf of stage 2 evaluates with.
mask_recall = [dict(type='MaskRecallMetric', seen=train_vocabulary, **panoptic)]
