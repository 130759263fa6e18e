"""13 photos of COCO-Stuff for prompt learning (stage 1): crops of their seen classes.

    tiny_cocostuff/train2017/*.jpg
    tiny_cocostuff/stuffthingmaps/train2017/*.png

The label files are as published.

MMOVSEG_DATA names the folder that holds tiny_cocostuff/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/tiny_cocostuff/'
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
    dict(type='CropClass', size=64),  # the image size of the tiny CLIP
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type='ClassCrops',
        samples_per_class=32,
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
