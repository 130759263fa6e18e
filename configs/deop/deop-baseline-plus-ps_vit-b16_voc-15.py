"""DeOP's baseline+ with patch severance, VOC 15 / 5.

Paper: hIoU 47.6 (seen 64.0, unseen 37.9), pAcc 72.7. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop-baseline-plus-ps_vit-b16_voc-15.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/voc_15.py',
    '../_base_/schedules/deop_60k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    # Blocks and resolution: released config.
    backbone=dict(
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2, 3, 4, 5], resolution=384),
    ),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# 20k iterations: the paper.
param_scheduler = [
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=0, end=20_001)
]
train_cfg = dict(max_iters=20_000)
