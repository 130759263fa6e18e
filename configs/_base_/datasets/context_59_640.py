"""PASCAL Context-59 with synonyms, short side 640 as EOV-Seg; evaluation only.

    VOCdevkit/VOC2010/JPEGImages/*.jpg
    VOCdevkit/VOC2010/SegmentationClassContext/*.png  (0 background, 1..59)
    VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt

That is mmseg's layout. For maps of detectron2's kind (0..58, 255 background) set
test_dataloader.dataset.reduce_zero_label=False.

MMOVSEG_DATA names the folder that holds VOCdevkit/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/VOCdevkit/VOC2010/'
vocabulary = 'pascal_ctx_59'

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
        type='mmseg.PascalContextDataset59',
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassContext'
        ),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
