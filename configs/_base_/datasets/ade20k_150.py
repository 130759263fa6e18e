"""ADE20K: 150 classes, semantic; evaluation only.

    ADEChallengeData2016/images/validation/*.jpg
    ADEChallengeData2016/annotations/validation/*.png  (0 other, 1..150)

MMOVSEG_DATA names the folder that holds ADEChallengeData2016/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/ADEChallengeData2016/'
vocabulary = 'plain/ade_150'

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
        type='mmseg.ADE20KDataset',
        data_root=data_root,
        data_prefix=dict(
            img_path='images/validation', seg_map_path='annotations/validation'
        ),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = [dict(type='SemanticMetric')]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
