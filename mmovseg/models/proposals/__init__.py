"""Networks that propose class-agnostic masks."""

from .detector_proposals import DetectorProposals
from .mask_former_proposals import MaskFormerProposals
from .mmdet_proposals import MMDetProposals
from .sam_proposals import SamProposals
from .transformers_proposals import TransformersProposals

__all__ = [
    'DetectorProposals',
    'MMDetProposals',
    'MaskFormerProposals',
    'SamProposals',
    'TransformersProposals',
]
