"""Read checkpoints of any format and place without running code in them."""

from .download import DownloadError, download, fetch
from .openmmlab import use_safe_checkpoints
from .read_file import CheckpointError, read_file
from .read_path import read_path

__all__ = [
    'CheckpointError',
    'DownloadError',
    'download',
    'fetch',
    'read_file',
    'read_path',
    'use_safe_checkpoints',
]
