"""PASCAL VOC 2012: 20 classes without background; evaluation only.

    VOC2012/JPEGImages/*.jpg
    VOC2012/SegmentationClass/*.png
    VOC2012/ImageSets/Segmentation/val.txt

MMOVSEG_DATA names the folder that holds VOC2012/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/VOC2012/'
vocabulary = 'plain/voc_20'

classes = (
    *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair'),
    *('cow', 'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant'),
    *('sheep', 'sofa', 'train', 'tvmonitor'),
)  # without background, which is ignored

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

test_dataloader = dict(
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

test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
