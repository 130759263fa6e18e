"""FC-CLIP (ConvNeXt-L): zero-shot on ADE20K-150, trained on COCO panoptic.

Released weights: 26.8 PQ, 16.8 AP, 34.1 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_convnext-l_zs-ade20k.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_convnext-l.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1333, 800))  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
