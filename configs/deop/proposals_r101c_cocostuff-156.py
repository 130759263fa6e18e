"""Stage 2 of DeOP: class-agnostic mask proposals, R101c, COCO-Stuff.

Paper, table 8, in its own counting: recall at IoU 0.5 of 0.45. Ours: not trained yet.
Starts from R-103: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/proposals_r101c_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_proposals_r101c.py',
    '../_base_/datasets/coco_stuff_156_proposals.py',
    '../_base_/schedules/deop_proposals_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
