"""FC-CLIP (ConvNeXt-L): zero-shot on Mapillary Vistas, trained on COCO panoptic.

Released weights: 18.3 PQ, 27.8 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_convnext-l_zs-mapillary.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_convnext-l.py',
    '../_base_/datasets/mapillary_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(instance=False),  # as released
)
