"""ADE20K full: 847 classes, semantic, 16-bit labels; evaluation only.

    ADE20K_2021_17_01/images_detectron2/validation/*.jpg
    ADE20K_2021_17_01/annotations_detectron2/validation/*.tif  (0..846, 65535 other)

tools/dataset_converters/ade20k_full.py makes them from the download.
MMOVSEG_DATA names the folder that holds ADE20K_2021_17_01/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/ADE20K_2021_17_01/'
vocabulary = 'ade20k_847'

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
        metainfo=dict(classes='plain/ade_847'),
        data_root=data_root,
        data_prefix=dict(
            img_path='images_detectron2/validation',
            seg_map_path='annotations_detectron2/validation',
        ),
        seg_map_suffix='.tif',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
