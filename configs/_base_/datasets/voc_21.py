"""PASCAL VOC 2012: 21 classes, background is one; evaluation only.

    VOC2012/JPEGImages/*.jpg
    VOC2012/SegmentationClass/*.png
    VOC2012/ImageSets/Segmentation/val.txt

MMOVSEG_DATA names the folder that holds VOC2012/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/VOC2012/'
vocabulary = 'pascal_voc_21'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=640, max_size=2560),
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
