"""Mask2Former of transformers, tiny, on the 47 seen classes, which are numbers to it.

Training-free models take its masks, and its votes for these classes.
Train and compose: see projects/shapeworld/evaluate_training_free.py
"""

_base_ = [
    '../_base_/mask2former_tiny_network.py',
    '../../../../configs/_base_/datasets/shapeworld.py',
    '../../../../configs/_base_/schedules/adamw_tiny.py',
    '../../../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports='projects.shapeworld.closed_vocabulary_network')
max_iters = 2400

model = dict(
    type='ClosedVocabularyNetwork',
    data_preprocessor=dict(
        type='ImgDataPreprocessor',
        bgr_to_rgb=True,
        pad_size_divisor=32,
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
    ),
    architecture=_base_.architecture,
    backbone_architecture=_base_.backbone_architecture,
    train_vocabulary=_base_.train_vocabulary,
)
train_pipeline = [
    dict(type='SeedSample'),
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='mmdet.Resize', scale=(160, 160), keep_ratio=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.PackDetInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=50, start_factor=0.01),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=50,
        end=max_iters,
        T_max=max_iters - 50,
        eta_min_ratio=0.01,
    ),
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters)
default_hooks = dict(checkpoint=dict(interval=100, max_keep_ckpts=2))
# Alone it finds the classes that it has; see evaluate_training_free.py.
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
