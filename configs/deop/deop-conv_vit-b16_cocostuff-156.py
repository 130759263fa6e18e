"""DeOP with the convolutional heatmap decoder of equation 4, K = 3.

Paper: hIoU 31.4 (seen 31.4, unseen 31.4), pAcc 58.8. Ours: not trained yet.
Starts from stages 1 and 2: --init-from, see README.md.
Train: tools/dist_train.sh configs/deop/deop-conv_vit-b16_cocostuff-156.py 4
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
    head=dict(type='ConvCALHead', num_layers=3),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
