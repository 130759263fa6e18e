"""Parts of the training loop."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .muon import Muon
from .seed_iteration_hook import SeedIterationHook
from .trainable_optim_wrapper_constructor import TrainableOptimWrapperConstructor

__all__ = [
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'Muon',
    'SeedIterationHook',
    'TrainableOptimWrapperConstructor',
]
