"""Parts of the training loop."""

from typing import Any

from mmovseg.checkpoints import use_safe_checkpoints
from mmovseg.registry import OPTIMIZERS

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .check_things_hook import CheckThingsHook
from .seed_iteration_hook import SeedIterationHook
from .trainable_optim_wrapper_constructor import TrainableOptimWrapperConstructor
from .work_dir_lock import WorkDirError, lock_work_dir


def refuse_muon(*args: Any, **kwargs: Any) -> None:
    """Say where our Muon is; else the one of PyTorch would take its place unseen."""
    raise ValueError(
        'Muon has moved to projects.shapeworld. Import it from a clone: custom_imports='
        "dict(imports='projects.shapeworld') in the config. Or take that of PyTorch, "
        "type='torch.optim.Muon'."
    )


if 'Muon' not in OPTIMIZERS.module_dict:  # the project may have been imported first
    OPTIMIZERS.register_module(name='Muon', module=refuse_muon)
use_safe_checkpoints()  # whoever runs our configs, our tools or others

__all__ = [
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'CheckThingsHook',
    'SeedIterationHook',
    'TrainableOptimWrapperConstructor',
    'WorkDirError',
    'lock_work_dir',
]
