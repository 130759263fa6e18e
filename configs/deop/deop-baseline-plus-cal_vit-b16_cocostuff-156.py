"""DeOP's baseline+ with classification anchors: DeOP without patch severance.

Paper: hIoU 23.2 (seen 28.8, unseen 21.0), pAcc 54.2. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh deop-baseline-plus-cal_vit-b16_cocostuff-156 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/coco_stuff_156.py',
    '../_base_/schedules/deop_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
