"""Training-free: masks of EoMT-L, names by CLIP ViT-L/14-336; ADE20K-150.

Nothing is trained by us. On photos it has not been measured here.
Test: python tools/test.py eomt-l_vit-l14-336 pretrained
"""

_base_ = [
    '../_base_/models/training_free_vit-l14-336.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(
    proposals=dict(
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
    ),
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
)
