"""SimBaseline, tiny: the proposals of DeOP, each a crop for a CLIP of a few layers."""

clip = dict(model_name='tiny-vit', pretrained='shapeworld')
model = dict(
    type='SimBaseline',
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
        embed_channels=64,
    ),
    backbone=dict(type='DenseCLIPViT', **clip),
    ensemble=dict(type='CropEnsemble', weight=0.8),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=4, frozen=True),
        void_std=64**-0.5,
        **clip,
    ),
    criterion=dict(type='ProposalLoss', class_weight=1.0),
    fusion=dict(
        type='MaskFusion', panoptic=False, instance=False, resize_probabilities=True
    ),
)
