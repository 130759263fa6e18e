"""Train the tiny FC-CLIP on pictures that are drawn on the fly, small ones first.

The learning rate stays as it is, so this may be stopped anywhere, and --resume goes on.
fcclip_tiny_end.py takes a checkpoint to the end.

python tools/train.py projects/shapeworld/recipes/fcclip_tiny.py \
    --work-dir work_dirs/fcclip_tiny --resume
"""

_base_ = '../../../configs/fcclip/fcclip_tiny_shapeworld.py'

custom_imports = dict(imports='projects.shapeworld')
batch_size = 8
small, large = 2500, 17500  # iterations
max_iters = small + large
train_dataloader = dict(
    _delete_=True,
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    prefetch_factor=4,
    sampler=dict(type='SeededSampler', shuffle=False),
    dataset=dict(
        type='DrawnDataset',
        stages=[
            (small * batch_size, (128, 96, 128, 160), 160),
            (large * batch_size, (192, 128, 192, 160), 256),
        ],
        seed=90210,
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, begin=0, end=100, start_factor=0.01)
]
train_cfg = dict(max_iters=max_iters, val_interval=10**9)
default_hooks = dict(checkpoint=dict(interval=250, max_keep_ckpts=100))
