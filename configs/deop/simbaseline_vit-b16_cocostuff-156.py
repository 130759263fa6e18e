"""SimBaseline: one pass of CLIP ViT-B/16 per proposal; COCO-Stuff.

Paper (of DeOP): hIoU 37.8 (seen 39.3, unseen 36.3). Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-b16_cocostuff-156.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-b16.py',
    '../_base_/datasets/coco_stuff_156.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
