"""A few minutes on a CPU for the proposals of tiny models: AdamW, warm-up, cosine.

All numbers are our own; the paper has none of this kind.
"""

max_iters = 450

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0, norm_type=2),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, custom_keys={'queries': dict(decay_mult=0.0)}
    ),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=20, start_factor=0.01),
    dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=20,
        end=max_iters,
        T_max=max_iters - 20,
        eta_min_ratio=0.01,
    ),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
