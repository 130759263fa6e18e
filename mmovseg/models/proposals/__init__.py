"""Networks that propose class-agnostic masks."""

from .mask_former_proposals import MaskFormerProposals
from .mmdet_proposals import MMDetProposals

__all__ = ['MMDetProposals', 'MaskFormerProposals']
