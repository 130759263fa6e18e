"""Hooks of the training loop."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .seed_iteration_hook import SeedIterationHook

__all__ = ['AtomicCheckpointHook', 'SeedIterationHook']
