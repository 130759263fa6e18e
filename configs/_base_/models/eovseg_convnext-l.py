"""EOV-Seg (L): frozen CLIP convnext_large_d_320; spatial branch ViT-B/16, block 0."""

clip = dict(model_name='convnext_large_d_320', pretrained='laion2b_s29b_b131k_ft_soup')
model = dict(
    type='EOVSeg',
    # ImageNet statistics, not CLIP's: the released weights expect them.
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    spatial_backbone=dict(
        type='CLIPViTBackbone',
        model_name='ViT-B-16-quickgelu',
        pretrained='openai',
        num_blocks=1,
    ),
    neck=dict(type='VASNeck', hidden_channels=96, out_channels=256),
    decoder=dict(
        type='LiteDecoder',
        channels=256,
        num_stages=3,
        num_queries=100,
        head=dict(type='TDEEHead'),
    ),
    # Number of points and weight of void: released code (Mask2Former's values).
    criterion=dict(
        type='MaskSetLoss',
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        void_weight=0.1,
        num_points=12544,
    ),
    # Thresholds: released configs.
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.8),
    # valid_only: released configs (False for this size).
    ensemble=dict(type='GeometricEnsemble', alpha=0.4, beta=0.8, valid_only=False),
)
