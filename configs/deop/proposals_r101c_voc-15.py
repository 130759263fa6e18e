"""Stage 2 of DeOP: class-agnostic mask proposals, R101c, VOC.

The paper gives no figure for this stage. Ours: not trained yet.
Starts from R-103: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/proposals_r101c_voc-15.py 4
"""

_base_ = [
    '../_base_/models/deop_proposals_r101c.py',
    '../_base_/datasets/voc_15.py',
    '../_base_/schedules/deop_proposals_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# 20k iterations: the paper.
param_scheduler = [
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=20_001)
]
train_cfg = dict(max_iters=20_000)
train_dataloader = dict(batch_size=4)  # 16 on 4 GPUs
val_evaluator = _base_.mask_recall
test_evaluator = _base_.mask_recall
