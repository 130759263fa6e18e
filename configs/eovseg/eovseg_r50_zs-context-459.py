"""EOV-Seg (S): zero-shot evaluation on PASCAL Context-459 of a model trained on COCO.

Paper: arXiv 2412.08628, 11.5 mIoU. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_r50_zs-context-459.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_r50.py',
    '../_base_/datasets/context_459.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(panoptic=False, instance=False),  # the labels are semantic
)
