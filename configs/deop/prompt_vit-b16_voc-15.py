"""Stage 1 of DeOP: the text prompt of CLIP ViT-B/16, seen classes of VOC.

The paper gives no figure for this stage. Ours: not trained yet.
Train: tools/dist_train.sh configs/deop/prompt_vit-b16_voc-15.py 4
"""

_base_ = [
    '../_base_/models/deop_prompt_vit-b16.py',
    '../_base_/datasets/voc_15_prompt.py',
    '../_base_/schedules/deop_prompt_16k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.train_vocabulary,
)
# 3200 iterations: released config.
param_scheduler = [
    dict(type='ConstantLR', by_epoch=False, begin=0, end=101, factor=0.005),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=3200, end=3200),
]
train_cfg = dict(max_iters=3200)
