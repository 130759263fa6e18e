"""What our losses of whole models are."""

from __future__ import annotations

from mmengine.model import BaseModule


class Criterion(BaseModule):
    """A loss of all masks and classes of a model; called with stages and targets."""

    @property
    def loss_name(self) -> str:
        """Of losses of mmseg, which are called with one tensor of logits per image.

        Raises:
            TypeError: Always.
        """
        name = type(self).__name__
        raise TypeError(
            f'{name} compares the masks of a whole model with targets; it cannot be '
            'loss_decode of an mmseg head. Take a loss of mmseg there, or a '
            f"mmovseg.MaskDecodeHead with criterion=dict(type='mmovseg.{name}')."
        )
