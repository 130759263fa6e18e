"""mmovseg: open-vocabulary segmentation for OpenMMLab."""

import importlib.util
import warnings

from .moved import install as _find_moved_modules
from .version import __version__

__all__ = ['__version__']

_find_moved_modules()

# OpenMMLab's packages exist under two sets of names, so they are extras, not
# dependencies; the vocabularies work without them.
if importlib.util.find_spec('mmengine') is None:
    warnings.warn(
        "OpenMMLab is not installed: pip install 'mmovseg[onedl]' (tested) or "
        "'mmovseg[openmmlab]'.",
        stacklevel=2,
    )
