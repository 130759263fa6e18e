"""The recipe of FC-CLIP: AdamW, 50 epochs of COCO, batch 16.

The released weights were trained in mixed precision: give tools/train.py --amp.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TrainableOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    # No decay for norms and for tables of embeddings.
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'query_feat': dict(decay_mult=0.0),
            'query_embed': dict(decay_mult=0.0),
            'level_embed': dict(decay_mult=0.0),
            'void_embedding': dict(decay_mult=0.0),
        },
    ),
)
param_scheduler = [
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=368_750,
        milestones=[327_778, 355_092],
        gamma=0.1,
    )
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=368_750, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Written for 4 GPUs with 4 images each; --auto-scale-lr adapts to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=16)
