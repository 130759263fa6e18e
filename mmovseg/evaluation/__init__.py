"""Metrics that OpenMMLab lacks."""

from .instance_metric import InstanceMetric
from .panoptic_metric import PanopticMetric
from .semantic_metric import SemanticMetric

__all__ = ['InstanceMetric', 'PanopticMetric', 'SemanticMetric']
