"""DeOP's baseline: proposals pool the patches of an unchanged CLIP; no stage 3, VOC.

Paper: hIoU 30.7 (seen 37.5, unseen 26.0), pAcc 46.6. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop-baseline_vit-b16_voc-15.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/voc_15.py',
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
