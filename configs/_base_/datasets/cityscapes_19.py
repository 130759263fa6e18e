"""Cityscapes: 19 classes, semantic; evaluation only.

    cityscapes/leftImg8bit/val/CITY/*_leftImg8bit.png
    cityscapes/gtFine/val/CITY/*_gtFine_labelIds.png

The label files are as published.
MMOVSEG_DATA names the folder that holds cityscapes/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/cityscapes/'
vocabulary = 'plain/cityscapes_19'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeShortestEdge', scale=1024, max_size=2048),
    # After the resize: the metrics compare in the size of the photo.
    dict(
        type='LoadSemanticAnnotations',
        # Label ids; the others do not count.
        class_values=[
            *(7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23),
            *(24, 25, 26, 27, 28, 31, 32, 33),
        ],
    ),
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
        type='mmseg.CityscapesDataset',
        data_root=data_root,
        data_prefix=dict(img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        seg_map_suffix='_gtFine_labelIds.png',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
