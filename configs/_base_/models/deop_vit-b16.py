"""DeOP: frozen CLIP ViT-B/16, last block severed; proposals of R101c."""

clip = dict(model_name='ViT-B-16-quickgelu', pretrained='openai')
model = dict(
    type='DeOP',
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
    ),
    backbone=dict(
        type='DenseCLIPViT',
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        # Blocks and resolution: released config.
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2, 3, 4, 5], resolution=384),
        **clip,
    ),
    # Heads and width: released code.
    head=dict(
        type='CALHead',
        form='paper',
        num_queries=100,
        num_layers=1,
        num_heads=8,
        ffn_channels=1024,
    ),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=16),
        void_std=512**-0.5,  # released code
        **clip,
    ),
    # Numbers of the loss: released code; the paper names its two terms.
    criterion=dict(
        type='SemanticMapLoss', focal_weight=2.0, dice_weight=0.8, sharpness=3.0
    ),
    fusion=dict(
        type='MaskFusion', panoptic=False, instance=False, resize_probabilities=True
    ),
)
