"""DeOP (ViT-B/16) in the form of its released weights, tested on voc-20.

Paper: mIoU 91.7. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop_vit-b16_released_zs-voc-20.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/voc_20.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-1, mode='mask_weighted')]),
    head=dict(form='released'),
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
