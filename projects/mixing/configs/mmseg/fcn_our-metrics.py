"""A model of mmseg on data of mmseg, measured by its own metric and by ours.

Test: python MMSEG/.mim/tools/test.py THIS_FILE CHECKPOINT, the tool of mmseg.
"""

default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(64, 96)),
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=16,
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        channels=16,
        num_convs=1,
        num_classes=5,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    test_cfg=dict(mode='whole'),
)
test_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root='{{$MMOVSEG_DATA:data}}/mixing',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        metainfo=dict(classes=['dog', 'cat', 'kite', 'tree', 'grass']),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    ),
)
test_evaluator = [
    dict(type='IoUMetric', iou_metrics=['mIoU']),
    dict(type='mmovseg.SemanticMetric', seen=['dog', 'cat', 'grass']),
]
test_cfg = dict(type='TestLoop')
