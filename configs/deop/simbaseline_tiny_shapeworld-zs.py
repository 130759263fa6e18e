"""SimBaseline, tiny: drawn shapes, 47 seen and 11 unseen classes.

No paper reports this. Ours: not trained yet.
Test: python tools/test.py configs/deop/simbaseline_tiny_shapeworld-zs.py CKPT
"""

_base_ = [
    '../_base_/models/simbaseline_tiny.py',
    '../_base_/datasets/shapeworld_zs.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
