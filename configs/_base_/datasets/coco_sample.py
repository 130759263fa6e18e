"""Three photos of COCO val2017, for training and evaluation: can a model learn them?

    tiny_coco/val2017/*.jpg
    tiny_coco/annotations/panoptic_val2017.json and panoptic_val2017/*.png
    tiny_coco/annotations/instances_val2017.json

MMOVSEG_DATA names the folder that holds tiny_coco/ (default: data), for example
MMOVSEG_DATA=../shared/data. The photos are shrunk to a short side of 256 pixels.
"""

data_root = '{{$MMOVSEG_DATA:data}}/tiny_coco/'
vocabulary = 'coco_panoptic'

# Long and short side, 3:2 and 4:3 photos; small enough for a CPU.
scale = (512, 256)
# No augmentation: three photos are to be learned by heart.
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='mmdet.Resize', scale=scale, keep_ratio=True),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=scale, keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

sample = dict(
    type='PanopticDataset',
    data_root=data_root,
    ann_file='annotations/panoptic_val2017.json',
    data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
)
train_dataloader = dict(
    batch_size=3,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **sample),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, test_mode=True, **sample),
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
