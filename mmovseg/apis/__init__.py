"""Inference and drawing; importing this package registers what it can."""

from ..checkpoints import use_safe_checkpoints
from ..evaluation import BackgroundEvaluator
from .checkpoint import load_checkpoint, read_checkpoint
from .config import check_config, load_config
from .encoded_photo import EncodedPhoto
from .fast_mode import make_fast, warm_up
from .heatmaps import draw_heatmaps, find_labels
from .images import ImageError, load_image
from .inferencer import OVSegInferencer
from .init_model import init_model
from .output_folder import OutputError
from .results import Result, Segment, read_result
from .set_vocabulary import set_vocabulary
from .video import FrameResult, VideoSegmenter
from .visualization import (
    draw_heatmap,
    draw_instances,
    draw_panoptic,
    draw_semantic,
    side_by_side,
)
from .zoo import find_best, find_model, get_weights, list_models, load

use_safe_checkpoints()

__all__ = [
    'BackgroundEvaluator',
    'EncodedPhoto',
    'FrameResult',
    'ImageError',
    'OVSegInferencer',
    'OutputError',
    'Result',
    'Segment',
    'VideoSegmenter',
    'check_config',
    'draw_heatmap',
    'draw_heatmaps',
    'draw_instances',
    'draw_panoptic',
    'draw_semantic',
    'find_best',
    'find_labels',
    'find_model',
    'get_weights',
    'init_model',
    'list_models',
    'load',
    'load_checkpoint',
    'load_config',
    'load_image',
    'make_fast',
    'read_checkpoint',
    'read_result',
    'set_vocabulary',
    'side_by_side',
    'warm_up',
]
