"""Training-free: masks of another network, names by CLIP ViT-L/14-336, severed."""

clip = dict(model_name='ViT-L-14-336-quickgelu', pretrained='openai')
model = dict(
    type='TrainingFreeSegmentor',
    data_preprocessor=dict(  # CLIP's statistics; the proposals change them to theirs
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
    ),
    # No patch sees another in the last block, as in DeOP; its patches are averaged.
    backbone=dict(
        type='DenseCLIPViT',
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        **clip,
    ),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.8),
    # Those of FC-CLIP, whose trained classifier the votes of known classes replace.
    ensemble=dict(alpha=0.4, beta=0.8),
)
