"""EOV-Seg (L): zero-shot evaluation on Cityscapes of a model trained on COCO.

Paper: arXiv 2412.08628, 34.7 PQ, 50.2 mIoU. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_convnext-l_zs-cityscapes.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_convnext-l.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)
