"""The recipe of EOV-Seg: AdamW, 200k iterations, batch 16, two steps, fp32."""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    # No decay for norms and embeddings. The channel norm of the spatial branch is no
    # nn.LayerNorm and does decay, as in the released code.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'object_kernels': dict(decay_mult=0.0),
            'void_embedding': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=200_000,
        milestones=[163_889, 187_546],
        gamma=0.1,
    )
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=200_000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Written for 4 GPUs with 4 images each; --auto-scale-lr adapts to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=16)

# The batch norms of neck and selection see the whole batch, not one GPU's share.
sync_bn = 'torch'
