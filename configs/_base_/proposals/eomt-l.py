"""EoMT-L of transformers, trained on COCO panoptic."""

proposals = dict(
    type='TransformersProposals',
    pretrained='tue-mps/coco_panoptic_eomt_large_640',
    # For random weights alone.
    architecture=dict(
        model_type='eomt',
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        num_blocks=4,
        num_labels=133,
    ),
)
