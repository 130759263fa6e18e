"""Stage 2 of DeOP, tiny: drawn shapes, 47 seen and 11 unseen classes.

No paper reports this. Ours: not trained yet.
Starts from stage 1: --init-from, see README.md.
Train: python tools/train.py configs/deop/proposals_tiny_shapeworld-zs.py
"""

_base_ = [
    '../_base_/models/deop_proposals_tiny.py',
    '../_base_/datasets/shapeworld_zs.py',
    '../_base_/schedules/deop_tiny_proposals.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
val_evaluator = _base_.mask_recall
test_evaluator = _base_.mask_recall
