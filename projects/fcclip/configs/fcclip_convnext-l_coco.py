"""FC-CLIP: frozen CLIP ConvNeXt-L, COCO panoptic, 50 epochs, batch 16.

Zero-shot ADE20K: 26.0 PQ in table 1 of EOV-Seg. Ours: not trained.
Train: see README.md
"""

_base_ = [
    './_base_/fcclip_convnext-l.py',
    '../../../configs/_base_/datasets/coco_panoptic.py',
    './_base_/adamw_50ep.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(train_vocabulary=_base_.vocabulary, test_vocabulary=_base_.vocabulary)
