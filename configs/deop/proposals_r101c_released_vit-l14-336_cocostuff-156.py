"""Stage 2 as released, with a class term: what SimBaseline (ViT-L/14-336) needs.

Paper, table 8, in its own counting: recall at IoU 0.5 of 0.45. Ours: not trained yet.
Starts from R-103 and stage 1: --init-from, see README.md.
Train: tools/dist_train.sh CONFIG 4
"""

_base_ = [
    '../_base_/models/deop_proposals_r101c_released_vit-l14-336.py',
    '../_base_/datasets/coco_stuff_156_proposals.py',
    '../_base_/schedules/deop_proposals_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
