"""Training-free: masks of Mask2Former (Swin-L), names by CLIP ConvNeXt-L; ADE20K-150.

Nothing is trained by us. On photos it has not been measured here.
Test: python tools/test.py mask2former-swin-l_convnext-l pretrained
"""

_base_ = [
    '../_base_/models/training_free_convnext-l.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    proposals=dict(
        type='TransformersProposals',
        pretrained='facebook/mask2former-swin-large-coco-panoptic',
        # For random weights alone.
        architecture=dict(model_type='mask2former', num_queries=200, num_labels=133),
        backbone_architecture=dict(
            model_type='swin',
            embed_dim=192,
            depths=[2, 2, 18, 2],
            num_heads=[6, 12, 24, 48],
            window_size=12,
            out_features=['stage1', 'stage2', 'stage3', 'stage4'],
        ),
    ),
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
)
