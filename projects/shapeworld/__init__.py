"""ShapeWorld: the training of its tiny CLIPs, and the papers' ablations on it."""

from .drawn_dataset import DrawnDataset
from .muon import Muon

__all__ = ['DrawnDataset', 'Muon']
