"""EOV-Seg (S): frozen CLIP RN50, COCO panoptic, 200k iterations, batch 16.

Paper: arXiv 2412.08628, zero-shot ADE20K 15.1 PQ. Ours: not trained yet.
Train: tools/dist_train.sh configs/eovseg/eovseg_r50_coco.py 4
"""

_base_ = [
    '../_base_/models/eovseg_r50.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/adamw_200k.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary=_base_.vocabulary, test_vocabulary=_base_.vocabulary)
