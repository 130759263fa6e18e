"""DeOP's baseline+: text and visual prompts learn, the rest is the baseline.

Paper: hIoU 8.3 (seen 8.0, unseen 8.7), pAcc 27.6. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop-baseline-plus_vit-b16_cocostuff-156.py 4
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
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2, 3, 4, 5], resolution=384),
    ),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
