"""SimBaseline (ViT-B/16) trained on COCO-Stuff-156, tested on voc-20.

Paper: mIoU 88.4. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-b16_zs-voc-20.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-b16.py',
    '../_base_/datasets/voc_20.py',
    '../_base_/default_runtime.py',
]
model = dict(
    ensemble=dict(weight=0.4, use_seen=False),  # released config
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
