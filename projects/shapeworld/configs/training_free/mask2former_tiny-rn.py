"""Training-free, tiny: masks of a Mask2Former folder, names by the CLIP tiny-rn."""

_base_ = [
    '../../../../configs/_base_/datasets/shapeworld.py',
    '../../../../configs/_base_/default_runtime.py',
]
clip = dict(model_name='tiny-rn', pretrained='shapeworld')
model = dict(
    type='TrainingFreeSegmentor',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    proposals=dict(
        type='TransformersProposals',
        pretrained='work_dirs/mask2former_tiny/network',
    ),
    backbone=dict(type='CLIPConvBackbone', channels_last=True, **clip),
    text_classifier=dict(type='TextClassifier', templates='vild', **clip),
    fusion=dict(type='MaskFusion', object_mask_thr=0.0, iou_thr=0.6),  # EOV-Seg tiny's
    ensemble=dict(alpha=0.4, beta=0.8),  # the packaged training-free models'
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
