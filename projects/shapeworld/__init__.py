"""ShapeWorld: the training of its tiny CLIPs, and the papers' ablations on it."""

from .muon import Muon

__all__ = ['Muon']
