"""Take a checkpoint of fcclip_tiny.py to the end: the learning rate falls.

python tools/train.py projects/shapeworld/recipes/fcclip_tiny_end.py \
    --work-dir work_dirs/fcclip_tiny_end \
    --cfg-options load_from=work_dirs/fcclip_tiny/iter_2250.pth

If it is stopped, the same command with --resume and without load_from goes on.
"""

_base_ = 'fcclip_tiny.py'

max_iters = 1200
train_dataloader = dict(
    dataset=dict(
        stages=[(max_iters * _base_.batch_size, (192, 128, 192, 160), 256)],
        seed=90211,
    )
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
train_cfg = dict(max_iters=max_iters)
