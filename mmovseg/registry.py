"""Registry nodes of mmovseg, children of MMEngine's root registries.

Every node has the scope ``mmovseg`` and knows the package that registers its
members, so ``type='mmovseg.VASNeck'`` works in any OpenMMLab config without
``custom_imports``.
"""

from mmengine import registry as root
from mmengine.registry import Registry

MODELS = Registry(
    'model', parent=root.MODELS, scope='mmovseg', locations=['mmovseg.models']
)
DATASETS = Registry(
    'dataset', parent=root.DATASETS, scope='mmovseg', locations=['mmovseg.datasets']
)
TRANSFORMS = Registry(
    'transform',
    parent=root.TRANSFORMS,
    scope='mmovseg',
    locations=['mmovseg.datasets.transforms'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=root.DATA_SAMPLERS,
    scope='mmovseg',
    locations=['mmovseg.datasets'],
)
METRICS = Registry(
    'metric', parent=root.METRICS, scope='mmovseg', locations=['mmovseg.evaluation']
)
HOOKS = Registry(
    'hook', parent=root.HOOKS, scope='mmovseg', locations=['mmovseg.engine']
)
INFERENCERS = Registry(
    'inferencer', parent=root.INFERENCERS, scope='mmovseg', locations=['mmovseg.apis']
)
