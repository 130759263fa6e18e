"""SimBaseline (ViT-B/16) trained on COCO-Stuff-156, tested on context-59.

Paper: mIoU 47.7. Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-b16_zs-context-59.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-b16.py',
    '../_base_/datasets/context_59.py',
    '../_base_/default_runtime.py',
]
model = dict(
    ensemble=dict(weight=0.4, use_seen=False),  # released config
    train_vocabulary='plain/coco_stuff_156',
    test_vocabulary=_base_.vocabulary,
)
