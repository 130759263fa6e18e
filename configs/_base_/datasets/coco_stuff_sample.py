"""13 photos of COCO-Stuff to learn by heart, 8 more to test on: 156 seen, 15 unseen.

    tiny_cocostuff/{train,val}2017/*.jpg
    tiny_cocostuff/stuffthingmaps/{train,val}2017/*.png

The files are as published. Training hides the pixels of unseen classes. Validation is
on the training photos (can a model learn them?), test on the others. For proposals
(stage 2) and DeOP (stage 3).

MMOVSEG_DATA names the folder that holds tiny_cocostuff/ (default: data), for example
MMOVSEG_DATA=../shared/data.
"""

data_root = '{{$MMOVSEG_DATA:data}}/tiny_cocostuff/'
vocabulary = 'plain/coco_stuff_171'
train_vocabulary = 'plain/coco_stuff_156'

labels = dict(
    type='LoadSemanticAnnotations',
    # Category id - 1; the other 11 of 182 were never annotated.
    class_values=[
        value
        for value in range(182)
        if value not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
    ],
)
resize = dict(type='ResizeShortestEdge', scale=256, max_size=512)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    labels,
    dict(type='KeepSeenClasses', classes=vocabulary, seen=train_vocabulary),
    resize,
    dict(type='mmseg.RandomCrop', crop_size=(256, 256)),
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    resize,
    labels,  # after the resize: the metrics compare in the size of the photo
    dict(
        type='PackInputs',
        meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='mmseg.COCOStuffDataset',
        data_root=data_root,
        data_prefix=dict(img_path='train2017', seg_map_path='stuffthingmaps/train2017'),
        seg_map_suffix='.png',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmseg.COCOStuffDataset',
        data_root=data_root,
        data_prefix=dict(img_path='train2017', seg_map_path='stuffthingmaps/train2017'),
        seg_map_suffix='.png',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmseg.COCOStuffDataset',
        data_root=data_root,
        data_prefix=dict(img_path='val2017', seg_map_path='stuffthingmaps/val2017'),
        seg_map_suffix='.png',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = [dict(type='SemanticMetric', seen=train_vocabulary)]
test_evaluator = val_evaluator
# What a leaf of stage 2 evaluates with.
mask_recall = [dict(type='MaskRecallMetric', seen=train_vocabulary)]
