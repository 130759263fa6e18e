"""FC-CLIP (R50x4): zero-shot on ADE20K-150, trained on COCO panoptic.

Released weights: 21.8 PQ, 11.7 AP, 26.8 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r50x4_zs-ade20k.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r50x4.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1333, 800))  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
