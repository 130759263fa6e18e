"""Train the tiny EOV-Seg on 38 of the 47 seen classes, on pictures drawn meanwhile.

calibrate_void.py then chooses with the other nine in the place of unseen classes.

python tools/train.py projects/shapeworld/recipes/eovseg_tiny_hold_out.py --resume \
    --work-dir work_dirs/hold_out --cfg-options model.criterion.void_weight=0.02
"""

_base_ = '../../../configs/eovseg/eovseg_tiny_shapeworld.py'

custom_imports = dict(imports='projects.shapeworld')
train_vocabulary = '{{ fileDirname }}/shapeworld_most_seen.txt'
max_iters = 2000
batch_size = 4
model = dict(train_vocabulary=train_vocabulary, test_vocabulary='shapeworld_seen')
train_dataloader = dict(
    _delete_=True,
    batch_size=batch_size,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='SeededSampler', shuffle=False),
    dataset=dict(
        type='DrawnDataset',
        stages=[(max_iters * batch_size, (128,), 192)],
        seed=90214,
        vocabulary=train_vocabulary,
    ),
)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters, T_max=max_iters - 50),
]
train_cfg = dict(max_iters=max_iters)
val_cfg = val_dataloader = val_evaluator = None
test_cfg = test_dataloader = test_evaluator = None
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=1))
