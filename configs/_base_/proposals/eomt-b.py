"""EoMT-B of transformers, trained on COCO panoptic."""

proposals = dict(
    type='TransformersProposals',
    pretrained='tue-mps/coco_panoptic_eomt_base_640_2x',
    # For random weights alone.
    architecture=dict(
        model_type='eomt',
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_blocks=3,
        num_labels=133,
    ),
)
