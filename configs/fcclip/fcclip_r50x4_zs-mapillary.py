"""FC-CLIP (R50x4): zero-shot on Mapillary Vistas, trained on COCO panoptic.

Released weights: 17.4 PQ, 24.6 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r50x4_zs-mapillary.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r50x4.py',
    '../_base_/datasets/mapillary_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    fusion=dict(instance=False),  # as released
)
