"""DeOP (ViT-B/16) in the form of its released weights; README.md tells the forms.

Paper: hIoU 38.2 (seen 38.0, unseen 38.4), pAcc 62.2. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop_vit-b16_released_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/coco_stuff_156.py',
    '../_base_/schedules/deop_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-1, mode='mask_weighted')]),
    head=dict(form='released'),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
