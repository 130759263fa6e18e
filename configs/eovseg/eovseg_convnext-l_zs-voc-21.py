"""EOV-Seg (L): zero-shot evaluation on PASCAL VOC-21 of a model trained on COCO.

The paper does not report it. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_convnext-l_zs-voc-21.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_convnext-l.py',
    '../_base_/datasets/voc_21.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(panoptic=False, instance=False),  # the labels are semantic
)
