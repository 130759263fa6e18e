"""Metrics that OpenMMLab lacks."""

from .instance_metric import InstanceMetric
from .mask_recall_metric import MaskRecallMetric
from .panoptic_metric import PanopticMetric
from .semantic_metric import SemanticMetric

__all__ = ['InstanceMetric', 'MaskRecallMetric', 'PanopticMetric', 'SemanticMetric']
