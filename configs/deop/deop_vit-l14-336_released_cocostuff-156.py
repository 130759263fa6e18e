"""DeOP (ViT-L/14-336) in the form of the released weights; README.md tells the forms.

Paper: hIoU 40.0 (seen 40.4, unseen 39.6), pAcc 62.6. Ours: not trained yet.
Its authors have released no weights of this size.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop_vit-l14-336_released_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-l14-336.py',
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
