"""PASCAL VOC 2012 for prompt learning, stage 1: crops of 15 seen classes, 128 of each.

    VOC2012/JPEGImages/*.jpg
    VOC2012/SegmentationClassAug/*.png  (trainaug: SBD and VOC)
    VOC2012/ImageSets/Segmentation/trainaug.txt

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

labels = [
    dict(type='LoadSemanticAnnotations'),
    dict(type='KeepSeenClasses', classes=vocabulary, seen=train_vocabulary),
]
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    # Deviates: the released config's size (224, 244) is a slip of the pen.
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
        samples_per_class=128,
        cache_file=data_root + 'SegmentationClassAug/voc_15_of_trainaug.json',
        num_workers=8,
        dataset=dict(
            type='mmseg.PascalVOCDataset',
            metainfo=dict(classes=classes),
            data_root=data_root,
            ann_file='ImageSets/Segmentation/trainaug.txt',
            data_prefix=dict(
                img_path='JPEGImages', seg_map_path='SegmentationClassAug'
            ),
            pipeline=labels,
        ),
        pipeline=train_pipeline,
    ),
)
