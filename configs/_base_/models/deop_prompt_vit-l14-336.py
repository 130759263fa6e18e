"""Prompt learning of DeOP: 16 text vectors for a frozen CLIP vit-l14-336."""

clip = dict(model_name='ViT-L-14-336-quickgelu', pretrained='openai')
model = dict(
    type='PromptClassifier',
    data_preprocessor=dict(  # CLIP's own statistics
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321375, 70.32316305],
    ),
    backbone=dict(type='DenseCLIPViT', **clip),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=16),
        **clip,
    ),
)
