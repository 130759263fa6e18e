"""Mask2Former (Swin-L) of transformers, trained on COCO panoptic."""

proposals = dict(
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
)
