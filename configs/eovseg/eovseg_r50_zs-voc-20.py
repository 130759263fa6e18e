"""EOV-Seg (S): zero-shot evaluation on PASCAL VOC-20 of a model trained on COCO.

Paper: arXiv 2412.08628, 87.2 mIoU. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_r50_zs-voc-20.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_r50.py',
    '../_base_/datasets/voc_20_640.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(panoptic=False, instance=False),  # the labels are semantic
)
