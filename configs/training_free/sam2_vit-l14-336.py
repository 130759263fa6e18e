"""Training-free: masks of SAM 2.1 (Hiera-L), names by CLIP ViT-L/14-336; ADE20K-150.

Nothing is trained by us. On photos it has not been measured here.
Test: python tools/test.py sam2_vit-l14-336 pretrained
"""

_base_ = [
    '../_base_/models/training_free_vit-l14-336.py',
    '../_base_/proposals/sam2.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    proposals=_base_.proposals,
    ensemble=None,  # SAM knows no classes
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
)
