"""Training-free: masks of another network, names by CLIP convnext_large_d_320."""

clip = dict(model_name='convnext_large_d_320', pretrained='laion2b_s29b_b131k_ft_soup')
model = dict(
    type='TrainingFreeSegmentor',
    data_preprocessor=dict(  # CLIP's statistics; the proposals change them to theirs
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    # Its last map is pooled inside each mask, as in FC-CLIP.
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.8),
    # Those of FC-CLIP, whose trained classifier the votes of known classes replace.
    ensemble=dict(alpha=0.4, beta=0.8),
)
