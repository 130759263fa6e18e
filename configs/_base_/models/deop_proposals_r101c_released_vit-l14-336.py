"""Proposals of DeOP and SimBaseline as released; classes of CLIP ViT-L/14-336."""

clip = dict(model_name='ViT-L-14-336-quickgelu', pretrained='openai')
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
        # Stem of 64, 64 and 128 channels, as in DeepLab's R-103, whose weights
        # tools/model_converters/deop_to_mmovseg.py converts.
        backbone=dict(
            type='ResNetV1c',
            depth=101,
            stem_channels=128,
            multi_grid=(1, 2, 4),
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            zero_init_residual=False,  # frozen norms would stay zero
        ),
        num_queries=100,
        embed_channels=768,  # of names
    ),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=16, frozen=True),
        void_std=768**-0.5,  # released code
        **clip,
    ),
    # Class term and weights: released code.
    criterion=dict(
        type='ProposalLoss', mask_weight=20.0, dice_weight=1.0, class_weight=1.0
    ),
    fusion=dict(
        type='MaskFusion',
        panoptic=False,
        instance=False,
        proposals=True,
        resize_probabilities=True,
    ),
)
