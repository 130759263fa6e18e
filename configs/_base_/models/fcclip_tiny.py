"""FC-CLIP, tiny, with the neck of EOV-Seg: a CLIP of a few layers from a JSON file.

It is trained on drawn shapes and packaged, see docs/tiny_clip.md. Widths and counts:
chosen to train within an hour on one core.
"""

clip = dict(model_name='tiny-rn', pretrained='shapeworld')
model = dict(
    type='FCCLIP',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    # Without selection by vocabulary: masks do not depend on the names.
    neck=dict(
        type='VASNeck',
        hidden_channels=64,
        out_channels=64,
        text_channels=None,
        out_indices=(0, 1, 2, 3),
    ),
    decoder=dict(
        type='MaskedAttentionDecoder',
        channels=64,
        num_queries=20,
        num_layers=6,
        num_heads=4,
        ffn_channels=256,
        head=dict(type='MaskEmbedHead'),
    ),
    criterion=dict(
        type='MaskSetLoss',
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        void_weight=0.02,  # as in the tiny EOV-Seg
        num_points=1024,
    ),
    # Lower than 0.8: after minutes of training queries still share objects.
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.7),
    ensemble=dict(type='GeometricEnsemble', alpha=0.4, beta=1.0, valid_only=True),
)
