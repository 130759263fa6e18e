"""Hooks, and what the command-line tools share."""

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .seed_iteration_hook import SeedIterationHook

__all__ = ['AtomicCheckpointHook', 'SeedIterationHook']
