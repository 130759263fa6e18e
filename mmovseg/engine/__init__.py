"""Parts of the training loop."""

from mmovseg.checkpoints import use_safe_checkpoints

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .check_things_hook import CheckThingsHook
from .muon import Muon
from .seed_iteration_hook import SeedIterationHook
from .trainable_optim_wrapper_constructor import TrainableOptimWrapperConstructor
from .work_dir_lock import WorkDirError, lock_work_dir

use_safe_checkpoints()  # whoever runs our configs, our tools or others

__all__ = [
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'CheckThingsHook',
    'Muon',
    'SeedIterationHook',
    'TrainableOptimWrapperConstructor',
    'WorkDirError',
    'lock_work_dir',
]
