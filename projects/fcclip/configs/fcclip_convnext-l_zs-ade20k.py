"""FC-CLIP: zero-shot evaluation on ADE20K-150 of a model trained on COCO.

Table 1 of EOV-Seg: 26.0 PQ. Ours: not trained.
"""

_base_ = [
    './_base_/fcclip_convnext-l.py',
    '../../../configs/_base_/datasets/ade20k_panoptic.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)
