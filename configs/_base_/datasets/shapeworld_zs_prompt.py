"""ShapeWorld for prompt learning (stage 1): crops of the 47 seen classes.

Draw it with tools/dataset_converters/make_shapeworld.py. MMOVSEG_DATA names the
folder that holds the data sets (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/shapeworld/'
vocabulary = 'shapeworld'
train_vocabulary = 'shapeworld_seen'

labels = [
    dict(
        type='LoadPanopticAnnotations',
        with_bbox=False,
        with_label=False,
        with_mask=False,
    ),
]
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='CropClass', size=64),  # the image size of the tiny CLIP
    dict(type='RandomFlip', prob=0.5),
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
            type='PanopticDataset',
            data_root=data_root,
            ann_file='annotations/panoptic_train.json',
            data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
            metainfo=dict(vocabulary=train_vocabulary),
            pipeline=labels,
        ),
        pipeline=train_pipeline,
    ),
)
