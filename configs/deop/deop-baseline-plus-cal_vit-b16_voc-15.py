"""DeOP's baseline+ with classification anchors: DeOP without patch severance, VOC.

Paper: hIoU 70.5 (seen 83.3, unseen 61.2), pAcc 88.1. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop-baseline-plus-cal_vit-b16_voc-15.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/voc_15.py',
    '../_base_/schedules/deop_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# 20k iterations: the paper.
param_scheduler = [
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=20_001)
]
train_cfg = dict(max_iters=20_000)
