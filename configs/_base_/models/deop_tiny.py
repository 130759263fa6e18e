"""DeOP, tiny: CLIP towers of a few layers from a packaged JSON file.

They are trained on drawn shapes and packaged, see docs/tiny_clip.md. Widths and counts:
chosen to train in minutes on two cores.
"""

clip = dict(model_name='tiny-vit', pretrained='shapeworld')
model = dict(
    type='DeOP',
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
            depth=18,
            base_channels=16,
            stem_channels=16,
            norm_cfg=dict(type='GN', num_groups=8),
        ),
        num_queries=20,
        channels=64,
        num_layers=3,
        ffn_channels=256,
    ),
    backbone=dict(
        type='DenseCLIPViT',
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2], resolution=128),
        **clip,
    ),
    head=dict(
        type='CALHead',
        form='paper',
        num_queries=20,
        num_layers=1,
        num_heads=4,
        ffn_channels=128,
    ),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=4),
        void_std=64**-0.5,
        **clip,
    ),
    criterion=dict(
        type='SemanticMapLoss', focal_weight=2.0, dice_weight=0.8, sharpness=3.0
    ),
    fusion=dict(
        type='MaskFusion', panoptic=False, instance=False, resize_probabilities=True
    ),
)
