"""Prompt learning of DeOP, tiny: a CLIP of a few layers from a packaged JSON file.

They are trained on drawn shapes and packaged, see docs/tiny_clip.md. Widths and counts:
chosen to train in minutes on two cores.
"""

clip = dict(model_name='tiny-vit', pretrained='shapeworld')
model = dict(
    type='PromptClassifier',
    data_preprocessor=dict(  # CLIP's own statistics
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        mean=[122.771, 116.746, 104.094],
        std=[68.501, 66.632, 70.323],
    ),
    backbone=dict(type='DenseCLIPViT', **clip),
    text_classifier=dict(
        type='TextClassifier',
        prompt_learner=dict(type='PromptLearner', prefix_length=4),
        **clip,
    ),
)
