"""Masks of SAM 2.1 (Hiera-L) of transformers, which knows no classes."""

proposals = dict(
    type='SamProposals',
    pretrained='facebook/sam2.1-hiera-large',
    architecture=dict(model_type='sam2'),  # for random weights alone; a small one
)
