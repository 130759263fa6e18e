"""Proposals of DeOP with ResNet-50, whose weights OpenMMLab has."""

model = dict(
    type='ZeroShotMaskFormer',
    # ImageNet statistics for both streams, not CLIP's: released code.
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    proposals=dict(
        type='MaskFormerProposals',
        backbone=dict(
            type='ResNetV1c',
            depth=50,
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            zero_init_residual=False,  # frozen norms would stay zero
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnet50_v1c'),
        ),
        num_queries=100,
    ),
    # No class term: the paper. Weights: released code.
    criterion=dict(type='ProposalLoss', mask_weight=20.0, dice_weight=1.0),
    fusion=dict(
        type='MaskFusion',
        panoptic=False,
        instance=False,
        proposals=True,
        resize_probabilities=True,
    ),
)
