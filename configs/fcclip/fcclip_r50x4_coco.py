"""FC-CLIP (R50x4): frozen CLIP, COCO panoptic, 50 epochs, batch 16.

Released weights: 52.1 PQ on COCO, zero-shot 21.8 PQ on ADE20K. Ours: not trained yet.
Train: tools/dist_train.sh configs/fcclip/fcclip_r50x4_coco.py 4 --amp
"""

_base_ = [
    '../_base_/models/fcclip_r50x4.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/fcclip_50ep.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary=_base_.vocabulary, test_vocabulary=_base_.vocabulary)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=(1333, 800))  # the released size
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
