"""An optimizer that learns more from a step than AdamW, for small transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from mmovseg.registry import OPTIMIZERS

# Of the quintic that brings singular values near 1 in five rounds, from the source.
QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor) -> Tensor:
    """Replace the singular values of matrices by numbers near 1.

    Args:
        matrices: ``[N, R, C]``.

    Returns:
        ``[N, R, C]``; zeros stay zeros.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(5):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


@OPTIMIZERS.register_module(force=True)  # over the hint where it is
class Muon(torch.optim.Optimizer):
    """Momentum whose steps are orthogonalised; for weight matrices alone.

    torch.optim.Muon does this in bfloat16, which processors without it emulate slowly;
    here it is done in the precision of the weights, for all matrices of a shape at
    once. The joint projection of attention counts as three matrices. A step is as large
    as one of AdamW, so learning rate and decay can be taken over from it.

    Args:
        params: Matrices, or groups of them.
        lr: Learning rate.
        weight_decay: Decoupled, as in AdamW.
        momentum: Of the running mean of gradients (Nesterov).

    Raises:
        ValueError: If a parameter is no matrix, or a number is out of range.

    Source: K. Jordan et al., Muon, 2024; scale of J. Liu et al., Muon is scalable for
    LLM training, 2025.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1:
            raise ValueError(
                'lr and weight_decay must be at least 0 and momentum in [0, 1), got '
                f'{lr}, {weight_decay} and {momentum}.'
            )
        super().__init__(
            params, dict(lr=lr, weight_decay=weight_decay, momentum=momentum)
        )
        for group in self.param_groups:
            for parameter in group['params']:
                if parameter.ndim != 2:
                    raise ValueError(
                        'Muon is for matrices, got a parameter of shape '
                        f'{tuple(parameter.shape)}.'
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Do a step; see torch.optim.Optimizer.step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        momentum = group['momentum']
        by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
        for parameter in group['params']:
            if parameter.grad is None:
                continue
            mean = self.state[parameter].setdefault('mean', torch.zeros_like(parameter))
            mean.lerp_(parameter.grad, 1 - momentum)
            update = parameter.grad.lerp(mean, momentum)
            rows, columns = parameter.shape
            parts = 3 if rows == 3 * columns else 1
            pairs = zip(parameter.chunk(parts), update.chunk(parts), strict=True)
            by_shape.setdefault((rows // parts, columns), []).extend(pairs)
        for shape, pairs in by_shape.items():
            updates = orthogonalise(torch.stack([update for _, update in pairs]))
            size = 0.2 * max(shape) ** 0.5  # the root mean square of AdamW's steps
            for (weights, _), update in zip(pairs, updates, strict=True):
                weights.mul_(1 - group['lr'] * group['weight_decay'])
                weights.sub_(update, alpha=group['lr'] * size)
