"""DeOP (ViT-B/16) in the form of its released weights, tested on context-59.

Paper: mIoU 48.8. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop_vit-b16_released_zs-context-59.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/context_59.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-1, mode='mask_weighted')]),
    head=dict(form='released'),
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
