"""Stage 2 of DeOP, mask proposals: AdamW, 60k iterations, batch 32, poly decay.

VOC: 20,000 iterations, batch 16.
"""

max_iters = 60_000

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    # No decay for norms and query tables; the void embedding does decay.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'proposals.backbone': dict(lr_mult=0.1),
            'proposals.queries': dict(decay_mult=0.0),
            'query_embed': dict(decay_mult=0.0),  # of mmdet's heads
        },
    ),
)
# MMEngine reaches zero in the iteration before `end`, detectron2 after the last one.
param_scheduler = [
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=max_iters + 1)
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Written for 4 GPUs with 8 images each; --auto-scale-lr adapts to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=32)
