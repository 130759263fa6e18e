"""A few minutes on a CPU: AdamW, 700 iterations, short warm-up, cosine decay.

All numbers are our own, for the tiny models; the paper has none of this kind.
"""

max_iters = 700

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=7e-4, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=1.0, norm_type=2),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'object_kernels': dict(decay_mult=0.0),
            'void_embedding': dict(decay_mult=0.0),
            # Few iterations: the factor of the cosine has to get somewhere in them.
            'logit_scale': dict(lr_mult=10.0, decay_mult=0.0),
        },
    ),
)
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

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=350)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

auto_scale_lr = dict(enable=False, base_batch_size=8)
