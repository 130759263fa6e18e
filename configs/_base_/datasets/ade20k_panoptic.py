"""ADE20K panoptic: 100 things and 50 stuff, interleaved as official; evaluation only.

    ADEChallengeData2016/images/validation/*.jpg
    ADEChallengeData2016/ade20k_panoptic_val.json and ade20k_panoptic_val/*.png
    ADEChallengeData2016/ade20k_instance_val.json  (100 of the 150 category ids)

tools/dataset_converters/ade20k_panoptic.py makes these files like the official
scripts, category ids 0..149. mmdet's file with things first is refused.
MMOVSEG_DATA names the folder that holds ADEChallengeData2016/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/ADEChallengeData2016/'
vocabulary = 'ade20k_150'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Short side 640, long side at most 2560.
    dict(type='mmdet.Resize', scale=(2560, 640), keep_ratio=True),
    dict(
        type='mmdet.PackDetInputs',
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
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

panoptic = dict(
    ann_file=data_root + 'ade20k_panoptic_val.json',
    seg_prefix=data_root + 'ade20k_panoptic_val/',
)
test_evaluator = [
    dict(type='PanopticMetric', **panoptic),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'ade20k_instance_val.json',
        metric='segm',
    ),
    dict(type='SemanticMetric', **panoptic),
]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
