"""SOLOv2 of mmdet on a frozen ConvNeXt CLIP."""

_base_ = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'
model = dict(
    backbone=dict(
        _delete_=True, type='mmovseg.CLIPConvBackbone', model_name='tiny-convnext'
    ),
    neck=dict(in_channels=[24, 32, 48, 64]),
    mask_head=dict(num_classes=4),
)
