"""SimBaseline: one pass of CLIP ViT-B/16 per proposal; VOC.

Paper (of DeOP): hIoU 77.5 (seen 83.5, unseen 72.5). Ours: not trained yet.
Test: tools/dist_test.sh configs/deop/simbaseline_vit-b16_voc-15.py CKPT 4
"""

_base_ = [
    '../_base_/models/simbaseline_vit-b16.py',
    '../_base_/datasets/voc_15.py',
    '../_base_/default_runtime.py',
]
model = dict(
    ensemble=dict(weight=0.7),  # released config
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
