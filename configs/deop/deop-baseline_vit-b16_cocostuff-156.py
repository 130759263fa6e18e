"""DeOP's baseline: proposals pool the patches of an unchanged CLIP; no stage 3.

Paper: hIoU 7.0 (seen 6.2, unseen 8.0), pAcc 15.6. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop-baseline_vit-b16_cocostuff-156.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/coco_stuff_156.py',
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
