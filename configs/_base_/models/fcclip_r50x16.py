"""FC-CLIP (R50x16): frozen CLIP RN50x16-quickgelu, masked-attention decoder."""

clip = dict(model_name='RN50x16-quickgelu', pretrained='openai')
model = dict(
    type='FCCLIP',
    data_preprocessor=dict(  # CLIP's statistics
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    neck=dict(type='MSDeformPixelDecoder', channels=256, num_layers=6),
    decoder=dict(
        type='MaskedAttentionDecoder',
        channels=256,
        num_queries=250,
        num_layers=9,
        head=dict(type='MaskEmbedHead'),
    ),
    # Mask2Former's values. Its code draws the points of the last prediction first.
    criterion=dict(
        type='MaskSetLoss',
        class_weight=2.0,
        mask_weight=5.0,
        dice_weight=5.0,
        void_weight=0.1,
        num_points=12544,
        last_first=True,
    ),
    # Thresholds: released configs.
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.8),
    # valid_only: released configs (True for this size).
    ensemble=dict(alpha=0.4, beta=0.8, valid_only=True),
)
