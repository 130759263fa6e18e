"""DeOP (ViT-B/16) trained on COCO-Stuff-156, tested on ade20k-150.

Paper: mIoU 22.9. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/deop_vit-b16_zs-ade20k-150.py CKPT 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/ade20k_150.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
