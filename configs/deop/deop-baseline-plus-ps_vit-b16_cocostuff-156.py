"""DeOP's baseline+ with patch severance.

Paper: hIoU 25.8 (seen 25.9, unseen 25.4), pAcc 53.9. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop-baseline-plus-ps_vit-b16_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_vit-b16_baseline.py',
    '../_base_/datasets/coco_stuff_156.py',
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
