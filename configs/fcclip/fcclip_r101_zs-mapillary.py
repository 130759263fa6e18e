"""FC-CLIP (R101): zero-shot on Mapillary Vistas, trained on COCO panoptic.

Released weights: 16.7 PQ, 23.2 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r101_zs-mapillary.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r101.py',
    '../_base_/datasets/mapillary_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(instance=False),  # as released
)
