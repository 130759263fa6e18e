"""FC-CLIP (R50): zero-shot on ADE20K-150, trained on COCO panoptic.

Released weights: 17.9 PQ, 9.5 AP, 23.3 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r50_zs-ade20k.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r50.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1333, 800))  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
