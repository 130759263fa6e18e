"""Stage 2 of DeOP with ResNet-50, whose weights download by themselves.

No paper reports this. Ours: not trained yet.
Train: tools/dist_train.sh configs/deop/proposals_r50_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_proposals_r50.py',
    '../_base_/datasets/coco_stuff_156_proposals.py',
    '../_base_/schedules/deop_proposals_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
