"""Stage 1 of DeOP: the text prompt of CLIP ViT-B/16, seen classes of COCO-Stuff.

The paper gives no figure for this stage. Ours: not trained yet.
Train: tools/dist_train.sh configs/deop/prompt_vit-b16_cocostuff-156.py 4
"""

_base_ = [
    '../_base_/models/deop_prompt_vit-b16.py',
    '../_base_/datasets/coco_stuff_156_prompt.py',
    '../_base_/schedules/deop_prompt_16k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.train_vocabulary,
)
