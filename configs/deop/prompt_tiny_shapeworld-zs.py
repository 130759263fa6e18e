"""Stage 1 of DeOP, tiny: drawn shapes, 47 seen and 11 unseen classes.

No paper reports this. Ours: not trained yet.
Train: python tools/train.py configs/deop/prompt_tiny_shapeworld-zs.py
"""

_base_ = [
    '../_base_/models/deop_prompt_tiny.py',
    '../_base_/datasets/shapeworld_zs_prompt.py',
    '../_base_/schedules/deop_tiny_prompt.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.train_vocabulary,
)
