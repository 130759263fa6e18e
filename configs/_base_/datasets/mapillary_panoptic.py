"""Mapillary Vistas 1.2, validation: 37 things and 28 stuff; evaluation only.

    mapillary_vistas/validation/images/*.jpg
    mapillary_vistas/validation/panoptic/panoptic_2018.json and *.png

MMOVSEG_DATA names the folder that holds mapillary_vistas/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/mapillary_vistas/'
vocabulary = 'mapillary_vistas_65'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Short side 1024, long side at most 2560.
    dict(type='Resize', scale=(2560, 1024), keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PanopticDataset',
        metainfo=dict(vocabulary=vocabulary),
        data_root=data_root,
        ann_file='validation/panoptic/panoptic_2018.json',
        data_prefix=dict(img='validation/images/', seg='validation/panoptic/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

panoptic = dict(
    ann_file=data_root + 'validation/panoptic/panoptic_2018.json',
    seg_prefix=data_root + 'validation/panoptic/',
)
test_evaluator = [
    dict(type='PanopticMetric', **panoptic),
    dict(type='SemanticMetric', **panoptic),
]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
