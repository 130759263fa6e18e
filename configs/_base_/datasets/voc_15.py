"""PASCAL VOC 2012 for zero-shot segmentation: 15 classes are seen, 5 are not.

    VOC2012/JPEGImages/*.jpg
    VOC2012/SegmentationClassAug/*.png  (trainaug: SBD and VOC)
    VOC2012/SegmentationClass/*.png  (val)
    VOC2012/ImageSets/Segmentation/{trainaug,val}.txt

Training hides the pixels of unseen classes; evaluation asks for all 20. Background is
ignored in both. For proposals (stage 2) and DeOP (stage 3).

MMOVSEG_DATA names the folder that holds VOC2012/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/VOC2012/'
vocabulary = 'plain/voc_20'
train_vocabulary = 'plain/voc_15'

classes = (
    *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair'),
    *('cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant'),
    *('sheep', 'sofa', 'train', 'tvmonitor'),
)  # without background, which is ignored

train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadSemanticAnnotations'),
    # 1,014 of the 10,582 images show unseen classes only.
    dict(
        type='KeepSeenClasses',
        classes=vocabulary,
        seen=train_vocabulary,
        skip_empty=True,
    ),
    dict(
        type='RandomChoiceResize',
        resize_type='mmseg.ResizeShortestEdge',
        scales=[int(512 * step * 0.1) for step in range(5, 16)],
        max_size=2048,
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
    dict(type='ResizeShortestEdge', scale=512, max_size=2048),
    # After the resize: the metrics compare in the size of the photo.
    dict(type='LoadSemanticAnnotations'),
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
        type='mmseg.PascalVOCDataset',
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file='ImageSets/Segmentation/trainaug.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug'),
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
        type='mmseg.PascalVOCDataset',
        metainfo=dict(classes=classes),
        data_root=data_root,
        ann_file='ImageSets/Segmentation/val.txt',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [dict(type='SemanticMetric', seen=train_vocabulary)]
test_evaluator = val_evaluator
# What a leaf of stage 2 evaluates with.
mask_recall = [dict(type='MaskRecallMetric', seen=train_vocabulary)]
