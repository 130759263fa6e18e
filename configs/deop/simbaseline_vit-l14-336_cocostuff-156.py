"""SimBaseline: one pass of CLIP ViT-L/14-336 per proposal; COCO-Stuff.

Paper (of DeOP): hIoU 38.6 (seen 40.7, unseen 37.0). Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-l14-336_cocostuff-156.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-l14-336.py',
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
