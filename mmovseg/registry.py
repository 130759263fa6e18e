"""Registry nodes of mmovseg, children of MMEngine's root registries.

Every node has the scope ``mmovseg`` and knows the package that registers its
members, so ``type='mmovseg.VASNeck'`` works in any OpenMMLab config without
``custom_imports``. There is one for every root, also where we register nothing:
MMEngine warns about a default scope that lacks one.
"""

import inspect
from typing import Any

from mmengine import registry as root
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry

from . import processes  # noqa: F401 (whoever uses a part of ours has its workers guarded)

# Where MMEngine looks for `_base_ = 'mmovseg::...'` and hub.get_config('mmovseg::...').
MODULE2PACKAGE.setdefault('mmovseg', 'mmovseg')


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
        try:
            return super().build(cfg, *args, **kwargs)
        except KeyError as error:
            text = str(error.args[0]) if error.args else ''
            if 'is not in the' not in text or 'the package in front' in text:
                raise
            scope = DefaultScope.get_current_instance()
            name = scope.scope_name if scope else 'no scope'
            raise KeyError(
                f'{text.partition(" Please check")[0]} A type without a package is '
                f'looked up in the default_scope (here {name}) and in MMEngine. Write '
                "the package in front, such as 'mmseg.SwinTransformer' or "
                "'mmovseg.VASNeck', or _scope_='mmseg' beside the type."
            ) from error


def _node(parent: Registry, *locations: str) -> Registry:
    # Without a location MMEngine would look for mmovseg.utils.
    found = list(locations or ('mmovseg',))
    return _OurRegistry(parent.name, parent=parent, scope='mmovseg', locations=found)


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
        scope = config.get('_scope_')
        kind = MODELS.get(kind if scope is None else f'{scope}.{kind}')
    if kind is not None:
        known = {name: value for name, value in known.items() if takes(kind, name)}
    return MODELS.build(config, default_args=known)


def build_criterion(config: dict, owner: str) -> Any:
    """Build the loss of masks.

    Args:
        config: Config of the loss.
        owner: Who wants it, for the message.

    Raises:
        ValueError: If it is a loss of another package, which compares tensors.
    """
    criterion = MODELS.build(config)
    package = type(criterion).__module__.split('.')[0]
    if package in ('mmcv', 'mmdet', 'mmseg', 'torch'):
        raise ValueError(
            f'The criterion {type(criterion).__name__} of {package} compares one '
            f'tensor with another; {owner} needs one that matches masks with targets, '
            "such as criterion=dict(type='mmovseg.MaskSetLoss')."
        )
    return criterion


def takes(call: Any, name: str) -> bool:
    """Whether a function, or the constructor of a class, names an argument."""
    return name in inspect.signature(call).parameters


def is_foreign(part: Any) -> bool:
    """Whether the class of a part is another package's."""
    return type(part).__module__.split('.')[0] != 'mmovseg'
