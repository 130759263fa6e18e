"""Stage 2 of DeOP with mmdet's own MaskFormer head; needs mmcv with compiled ops.

No paper reports this. Ours: not trained yet.
Train: tools/dist_train.sh configs/deop/proposals_mmdet-r50_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_proposals_mmdet-r50.py',
    '../_base_/datasets/coco_stuff_156_proposals.py',
    '../_base_/schedules/deop_proposals_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
