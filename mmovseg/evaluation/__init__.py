"""Metrics that OpenMMLab lacks."""

from .background_evaluator import BackgroundEvaluator
from .instance_metric import InstanceMetric
from .mask_recall_metric import MaskRecallMetric
from .panoptic_metric import PanopticMetric
from .presence_metric import PresenceMetric
from .semantic_metric import SemanticMetric
from .video_quality import VideoQuality

__all__ = [
    'BackgroundEvaluator',
    'InstanceMetric',
    'MaskRecallMetric',
    'PanopticMetric',
    'PresenceMetric',
    'SemanticMetric',
    'VideoQuality',
]
