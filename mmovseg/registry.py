"""Registry nodes of mmovseg, children of MMEngine's root registries.

Every node has the scope ``mmovseg`` and knows the package that registers its
members, so ``type='mmovseg.VASNeck'`` works in any OpenMMLab config without
``custom_imports``. There is one for every root, also where we register nothing:
MMEngine warns about a default scope that lacks one.
"""

import inspect
from typing import Any

from mmengine import registry as root
from mmengine.registry import Registry

from . import processes  # noqa: F401 (whoever uses a part of ours has its workers guarded)


class _OurRegistry(Registry):
    """Takes a name without a scope for ours, if it is ours, inside any model.

    Our parts build parts, also as parts of a model of another package. MMEngine would
    look there alone for a name without a scope.
    """

    def build(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        kind = cfg.get('type') if isinstance(cfg, dict) else None
        if isinstance(kind, str) and '.' not in kind and '_scope_' not in cfg:
            self.import_from_location()
            if kind in self.module_dict:
                cfg = type(cfg)(cfg, type=f'{self.scope}.{kind}')
        return super().build(cfg, *args, **kwargs)


def _node(parent: Registry, *locations: str) -> Registry:
    return _OurRegistry(
        parent.name, parent=parent, scope='mmovseg', locations=list(locations)
    )


MODELS = _node(root.MODELS, 'mmovseg.models')
DATASETS = _node(root.DATASETS, 'mmovseg.datasets')
DATA_SAMPLERS = _node(root.DATA_SAMPLERS, 'mmovseg.datasets')
TRANSFORMS = _node(root.TRANSFORMS, 'mmovseg.transforms')
METRICS = _node(root.METRICS, 'mmovseg.evaluation')
HOOKS = _node(root.HOOKS, 'mmovseg.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _node(root.OPTIM_WRAPPER_CONSTRUCTORS, 'mmovseg.engine')
OPTIM_WRAPPERS = _node(root.OPTIM_WRAPPERS, 'mmovseg.engine')
INFERENCERS = _node(root.INFERENCERS, 'mmovseg.apis')

EVALUATOR = _node(root.EVALUATOR, 'mmovseg.evaluation')
FUNCTIONS = _node(root.FUNCTIONS)
LOG_PROCESSORS = _node(root.LOG_PROCESSORS)
LOOPS = _node(root.LOOPS)
MODEL_WRAPPERS = _node(root.MODEL_WRAPPERS)
OPTIMIZERS = _node(root.OPTIMIZERS, 'mmovseg.engine')
PARAM_SCHEDULERS = _node(root.PARAM_SCHEDULERS)
RUNNERS = _node(root.RUNNERS)
RUNNER_CONSTRUCTORS = _node(root.RUNNER_CONSTRUCTORS)
STRATEGIES = _node(root.STRATEGIES)
TASK_UTILS = _node(root.TASK_UTILS)
VISBACKENDS = _node(root.VISBACKENDS)
VISUALIZERS = _node(root.VISUALIZERS)
WEIGHT_INITIALIZERS = _node(root.WEIGHT_INITIALIZERS)


def build_part(config: dict, **known: Any) -> Any:
    """Build a part of a model, and tell it what the model knows and the part asks for.

    Args:
        config: Config of the part. What it says wins.
        known: Arguments that the model can give. A part gets those that its
            constructor names.
    """
    kind = config['type']
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    if kind is not None:
        taken = inspect.signature(kind).parameters
        known = {name: value for name, value in known.items() if name in taken}
    return MODELS.build(config, default_args=known)
