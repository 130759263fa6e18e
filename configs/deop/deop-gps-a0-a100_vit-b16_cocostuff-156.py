"""DeOP's baseline with patch severance of alpha 1 in the last block; no stage 3.

Paper: hIoU 23.8 (seen 21.5, unseen 26.6). Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop-gps-a0-a100_vit-b16_cocostuff-156.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/coco_stuff_156.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-1, alpha=1.0)]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
