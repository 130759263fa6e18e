"""SimBaseline (ViT-B/16) trained on COCO-Stuff-156, tested on ade20k-150.

Paper: mIoU 20.5. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-b16_zs-ade20k-150.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-b16.py',
    '../_base_/datasets/ade20k_150.py',
    '../_base_/default_runtime.py',
]
model = dict(
    ensemble=dict(weight=0.5, use_seen=False),  # released config
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
