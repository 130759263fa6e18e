"""The light decoder of EOV-Seg in mmdet's MaskFormer detector, classes by number."""

default_scope = 'mmdet'
classes = dict(num_things_classes=4, num_stuff_classes=1)
model = dict(
    type='MaskFormer',
    data_preprocessor=dict(
        type='DetDataPreprocessor', pad_size_divisor=32, pad_mask=True, pad_seg=True
    ),
    backbone=dict(type='mmovseg.CLIPConvBackbone', model_name='tiny-rn'),
    panoptic_head=dict(
        type='mmovseg.MaskPanopticHead',
        in_channels=[64, 128, 256, 512],
        embed_channels=64,
        spatial_index=2,
        neck=dict(
            type='mmovseg.VASNeck',
            text_channels=None,
            hidden_channels=16,
            out_channels=32,
        ),
        decoder=dict(
            type='mmovseg.LiteDecoder',
            channels=32,
            num_stages=2,
            num_queries=8,
            head=dict(type='mmovseg.TDEEHead'),
        ),
        criterion=dict(type='mmovseg.MaskSetLoss', num_points=64),
        **classes,
    ),
    panoptic_fusion_head=dict(type='MaskFormerFusionHead', **classes),
    test_cfg=dict(panoptic_on=True, instance_on=True, max_per_image=10),
)
