"""ADE20K panoptic: 100 things and 50 stuff, interleaved as official; evaluation only.

    ADEChallengeData2016/images/validation/*.jpg
    ADEChallengeData2016/ade20k_panoptic_val.json and ade20k_panoptic_val/*.png
    ADEChallengeData2016/ade20k_instance_val.json  (100 of the 150 category ids)
    ADEChallengeData2016/annotations/validation/*.png  (0 other, 1..150)

tools/dataset_converters/ade20k_panoptic.py makes these files like the official
scripts, category ids 0..149. mmdet's file with things first is refused. mIoU counts
the labels of scene parsing, as the official data set does: in the panoptic PNGs the
pixels of things without an instance are void.
MMOVSEG_DATA names the folder that holds ADEChallengeData2016/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/ADEChallengeData2016/'
vocabulary = 'ade20k_150'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Short side 640, long side at most 2560.
    dict(type='Resize', scale=(2560, 640), keep_ratio=True),
    # After the resize: the metrics compare in the size of the photo.
    dict(
        type='LoadSemanticAnnotations',
        class_values=list(range(1, 151)),
        path_key='sem_seg_map_path',
    ),
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
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(
            img='images/validation/',
            seg='ade20k_panoptic_val/',
            sem_seg='annotations/validation/',
        ),
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
    dict(type='SemanticMetric'),
]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
