"""FC-CLIP (R101): zero-shot on Cityscapes, trained on COCO panoptic.

Released weights: 40.9 PQ, 24.1 AP, 53.9 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r101_zs-cityscapes.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r101.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(2560, 1024))  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
