"""Training criteria."""

from .mask_set_loss import MaskSetLoss

__all__ = ['MaskSetLoss']
