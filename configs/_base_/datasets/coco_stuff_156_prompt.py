"""COCO-Stuff for prompt learning, stage 1: crops of the 156 seen classes, 32 of each.

    coco/train2017/*.jpg
    coco/stuffthingmaps/train2017/*.png

The label files are as published.

MMOVSEG_DATA names the folder that holds coco/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/coco/'
vocabulary = 'plain/coco_stuff_171'
train_vocabulary = 'plain/coco_stuff_156'

labels = [
    dict(
        type='LoadSemanticAnnotations',
        # Category id - 1; the other 11 of 182 were never annotated.
        class_values=[
            value
            for value in range(182)
            if value not in (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
        ],
    ),
    dict(type='KeepSeenClasses', classes=vocabulary, seen=train_vocabulary),
]
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='CropClass', size=224),
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]

train_dataloader = dict(
    batch_size=8,  # on 4 GPUs
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='ClassCrops',
        samples_per_class=32,
        # Which classes the 118,287 maps show takes minutes to read, once.
        cache_file=data_root + 'stuffthingmaps/coco_stuff_156_of_train2017.json',
        num_workers=8,
        dataset=dict(
            type='mmseg.COCOStuffDataset',
            data_root=data_root,
            data_prefix=dict(
                img_path='train2017', seg_map_path='stuffthingmaps/train2017'
            ),
            seg_map_suffix='.png',
            pipeline=labels,
        ),
        pipeline=train_pipeline,
    ),
)
