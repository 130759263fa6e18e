"""FC-CLIP (R50): zero-shot on Cityscapes, trained on COCO panoptic.

Released weights: 40.3 PQ, 21.6 AP, 53.2 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r50_zs-cityscapes.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r50.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(2560, 1024))  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
