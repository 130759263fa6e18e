"""Complete models."""

from .base import OVSegmentor
from .deop import DeOP
from .eovseg import EOVSeg
from .fcclip import FCCLIP
from .prompt_classifier import PromptClassifier
from .sim_baseline import SimBaseline
from .training_free import TrainingFreeSegmentor
from .zero_shot_mask_former import ZeroShotMaskFormer

__all__ = [
    'FCCLIP',
    'DeOP',
    'EOVSeg',
    'OVSegmentor',
    'PromptClassifier',
    'SimBaseline',
    'TrainingFreeSegmentor',
    'ZeroShotMaskFormer',
]
