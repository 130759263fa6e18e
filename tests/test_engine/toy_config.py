"""Twelve iterations of the toy model."""

_base_ = ['../../configs/_base_/default_runtime.py']

custom_imports = dict(imports=['toy'])
model = dict(type='ToyModel')
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    sampler=dict(type='SeededSampler'),
    dataset=dict(
        type='ToyDataset',
        pipeline=[dict(type='SeedSample'), dict(type='ToyAugmentation')],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyDataset', pipeline=[dict(type='ToyAugmentation')]),
)
val_evaluator = dict(type='ToyMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.01))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=12)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=12, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=6)
sync_bn = 'torch'
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=4, max_keep_ckpts=1)
)
