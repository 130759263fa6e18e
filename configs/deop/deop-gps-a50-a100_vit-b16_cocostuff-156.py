"""DeOP's baseline with patch severance of alpha 0.5 and 1 in the last two blocks.

Paper: hIoU 16.2 (seen 15.2, unseen 17.4). Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop-gps-a50-a100_vit-b16_cocostuff-156.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/coco_stuff_156.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-2, alpha=0.5), dict(block=-1, alpha=1.0)]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
