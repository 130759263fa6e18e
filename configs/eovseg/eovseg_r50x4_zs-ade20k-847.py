"""EOV-Seg (M): zero-shot evaluation on ADE20K-847 of a model trained on COCO.

Paper: arXiv 2412.08628, 7.8 mIoU. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_r50x4_zs-ade20k-847.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_r50x4.py',
    '../_base_/datasets/ade20k_847.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(panoptic=False, instance=False),  # the labels are semantic
)
