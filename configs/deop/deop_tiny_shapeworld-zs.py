"""Stage 3: DeOP, tiny: drawn shapes, 47 seen and 11 unseen classes.

No paper reports this. Ours: docs/shapeworld.md.
Starts from stage 2: --init-from, see README.md.
Train: python tools/train.py configs/deop/deop_tiny_shapeworld-zs.py
"""

_base_ = [
    '../_base_/models/deop_tiny.py',
    '../_base_/datasets/shapeworld_zs.py',
    '../_base_/schedules/deop_tiny.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
