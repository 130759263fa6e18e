"""COCO-Stuff 164k: all 171 classes for training and evaluation, crop 512.

    coco/{train,val}2017/*.jpg
    coco/stuffthingmaps/{train,val}2017/*.png

The label files are as published.

MMOVSEG_DATA names the folder that holds coco/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/coco/'
vocabulary = 'plain/coco_stuff_171'

labels = dict(
    type='LoadSemanticAnnotations',
    # Category id - 1; the other 11 of 182 were never annotated.
    class_values=[
        value
        for value in range(182)
        if value not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
    ],
)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    labels,
    dict(
        type='RandomChoiceResize',
        resize_type='mmseg.ResizeShortestEdge',
        scales=[int(512 * step * 0.1) for step in range(5, 16)],
        max_size=2560,
    ),
    dict(type='mmseg.RandomCrop', crop_size=(512, 512)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='mmseg.RandomFlip', prob=0.5),
    # Grey before normalization, as official; the preprocessor would pad with 0 after
    # it, which is the mean color. The 255 is no class.
    dict(type='Pad', size=(512, 512), pad_val=dict(img=128, seg=255)),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=512, max_size=2560),
    labels,  # after the resize: the metrics compare in the size of the photo
    dict(
        type='PackInputs',
        meta_keys=('img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

train_dataloader = dict(
    batch_size=4,  # on 4 GPUs
    num_workers=4,
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
    num_workers=2,
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
test_dataloader = val_dataloader

val_evaluator = [dict(type='SemanticMetric')]
test_evaluator = val_evaluator
