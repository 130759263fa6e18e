"""EOV-Seg, tiny: CLIP towers of a few layers from packaged JSON files.

They are trained on drawn shapes and packaged, see docs/tiny_clip.md. Widths and counts:
chosen to train in minutes on two cores.
"""

clip = dict(model_name='tiny-rn', pretrained='shapeworld')
model = dict(
    type='EOVSeg',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', **clip),
    spatial_backbone=dict(
        type='CLIPViTBackbone',
        model_name='tiny-vit',
        pretrained='shapeworld',
        num_blocks=1,
    ),
    neck=dict(type='VASNeck', hidden_channels=48, out_channels=96),
    decoder=dict(
        type='LiteDecoder',
        channels=96,
        num_stages=2,
        num_queries=20,
        head=dict(type='TDEEHead'),
    ),
    criterion=dict(
        type='MaskSetLoss',
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        # Lower than the paper's 0.1: textures never seen are taken for void otherwise.
        void_weight=0.02,
        num_points=2048,
    ),
    # Lower than the paper's 0.8: after minutes of training queries still share objects.
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.6),
    ensemble=dict(type='GeometricEnsemble', alpha=0.6, beta=1.0, valid_only=True),
)
