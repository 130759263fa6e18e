"""PASCAL Context, all 459 classes, semantic, 16-bit labels; evaluation only.

    VOCdevkit/VOC2010/JPEGImages/*.jpg
    VOCdevkit/VOC2010/SegmentationClassContext459/*.tif  (0..458, 65535 none)
    VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt

tools/dataset_converters/pascal_context.py makes maps and list from the download.
MMOVSEG_DATA names the folder that holds VOCdevkit/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/VOCdevkit/VOC2010/'
vocabulary = 'pascal_ctx_459'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=640, max_size=2560),
    # After the resize: the metrics compare in the size of the photo. 255 is a class.
    dict(type='LoadSemanticAnnotations', ignore_index=65535),
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
        type='SemanticDataset',
        metainfo=dict(classes='plain/pc_459'),
        data_root=data_root,
        ann_file='ImageSets/SegmentationContext/val.txt',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClassContext459'
        ),
        seg_map_suffix='.tif',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
