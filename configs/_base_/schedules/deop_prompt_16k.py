"""Stage 1 of DeOP, prompt learning: SGD, 16k iterations, batch 32, cosine.

VOC: 3,200 iterations. There is no validation; the last checkpoint is the result.
"""

max_iters = 16_000

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=0.01, norm_type=2),
)
# The cosine begins at the first iteration, and the first 100 are scaled down.
param_scheduler = [
    dict(type='ConstantLR', by_epoch=False, begin=0, end=101, factor=0.005),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters, end=max_iters),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)

# Written for 4 GPUs with 8 crops each; --auto-scale-lr adapts to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=32)
