"""Models; importing this package registers all of them.

Every registered part is importable from here, for configs that import their types.
"""

from . import moved_parts  # noqa: F401
from .adapters import *  # noqa: F403
from .backbones import *  # noqa: F403
from .decoders import *  # noqa: F403
from .ensembles import *  # noqa: F403
from .fusion import *  # noqa: F403
from .heads import *  # noqa: F403
from .layers import AttentionRepairLayer, PatchSeveranceLayer  # noqa: F401
from .losses import *  # noqa: F403
from .necks import *  # noqa: F403
from .presence_filter import *  # noqa: F403
from .proposals import *  # noqa: F403
from .segmentors import *  # noqa: F403
from .text import *  # noqa: F403
