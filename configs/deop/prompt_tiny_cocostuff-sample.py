"""Stage 1 of DeOP, tiny: 13 real photos.

No paper reports this. Ours: not trained yet.
Train: python tools/train.py configs/deop/prompt_tiny_cocostuff-sample.py
"""

_base_ = [
    '../_base_/models/deop_prompt_tiny.py',
    '../_base_/datasets/coco_stuff_sample_prompt.py',
    '../_base_/schedules/deop_tiny_prompt.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.train_vocabulary,
)
