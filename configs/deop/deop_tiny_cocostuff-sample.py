"""Stage 3: DeOP, tiny: 13 real photos.

No paper reports this. Ours: not trained yet.
Starts from stage 2: --init-from, see README.md.
Train: python tools/train.py configs/deop/deop_tiny_cocostuff-sample.py
"""

_base_ = [
    '../_base_/models/deop_tiny.py',
    '../_base_/datasets/coco_stuff_sample.py',
    '../_base_/schedules/deop_tiny.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
train_dataloader = dict(batch_size=2)
