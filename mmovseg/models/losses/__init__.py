"""Training criteria."""

from .mask_set_loss import MaskSetLoss
from .proposal_loss import ProposalLoss
from .semantic_map_loss import SemanticMapLoss

__all__ = ['MaskSetLoss', 'ProposalLoss', 'SemanticMapLoss']
