"""Training-free: masks of EoMT-L, names by CLIP ViT-L/14-336; ADE20K-150.

Nothing is trained by us. On photos it has not been measured here.
Test: python tools/test.py eomt-l_vit-l14-336 pretrained
"""

_base_ = [
    '../_base_/models/training_free_vit-l14-336.py',
    '../_base_/proposals/eomt-l.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    proposals=_base_.proposals,
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
)
