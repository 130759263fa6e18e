"""Stage 3: DeOP, CLIP ViT-B/16, VOC 15 seen and 5 unseen classes.

Paper: hIoU 80.8 (seen 88.2, unseen 74.6), pAcc 92.5. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop_vit-b16_voc-15.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16.py',
    '../_base_/datasets/voc_15.py',
    '../_base_/schedules/deop_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# 20k iterations: the paper.
param_scheduler = [
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=20_001)
]
train_cfg = dict(max_iters=20_000)
