"""Training-free: masks of Mask2Former (Swin-L), names by CLIP ConvNeXt-L; ADE20K-150.

Nothing is trained by us. On photos it has not been measured here.
Test: python tools/test.py mask2former-swin-l_convnext-l pretrained
"""

_base_ = [
    '../_base_/models/training_free_convnext-l.py',
    '../_base_/proposals/mask2former-swin-l.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    proposals=_base_.proposals,
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
)
