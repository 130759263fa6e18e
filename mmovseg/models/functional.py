"""Plain formulas on class scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def check_ensemble_weights(alpha: float, beta: float) -> None:
    """Raise a ValueError unless both weights of an ensemble are in [0, 1]."""
    for name, value in (('alpha', alpha), ('beta', beta)):
        if not 0 <= value <= 1:
            raise ValueError(f'{name} must be in [0, 1], got {value}.')


def geometric_ensemble(
    in_vocab: Tensor,
    out_vocab: Tensor,
    seen: Tensor,
    *,
    alpha: float,
    beta: float,
    valid: Tensor | None = None,
) -> Tensor:
    """Mix trained and frozen-CLIP class scores per class, in log space.

    Args:
        in_vocab: Trained class logits without void, ``[B, N, K]``.
        out_vocab: Frozen CLIP class logits, temperature applied, ``[B, N, K]``.
        seen: True where the class was in the training vocabulary, ``[K]``.
        alpha: Weight of CLIP for seen classes, in [0, 1].
        beta: Weight of CLIP for unseen classes, in [0, 1].
        valid: True where CLIP's score of a query counts, ``[B, N]``; None for
            everywhere. The others keep ``in_vocab``.

    Returns:
        Unnormalised log-probabilities, float32, ``[B, N, K]``.

    Raises:
        ValueError: If ``alpha`` or ``beta`` is outside [0, 1].

    Source: EOV-Seg, equation 11 of the appendix.
    """

    def mix(trained: Tensor, frozen: Tensor, weight: Tensor) -> Tensor:
        # Products of probabilities underflow at CLIP's temperature, sums of
        # logs do not.
        return (1 - weight) * trained + weight * frozen

    return _ensemble(mix, in_vocab, out_vocab, seen, alpha, beta, valid)


def arithmetic_ensemble(
    in_vocab: Tensor,
    out_vocab: Tensor,
    seen: Tensor,
    *,
    alpha: float,
    beta: float,
    valid: Tensor | None = None,
) -> Tensor:
    """Average trained and frozen-CLIP class probabilities per class, in log space.

    Args:
        in_vocab: See :func:`geometric_ensemble`.
        out_vocab: See :func:`geometric_ensemble`.
        seen: See :func:`geometric_ensemble`.
        alpha: Weight of CLIP for seen classes, in [0, 1].
        beta: Weight of CLIP for unseen classes, in [0, 1].
        valid: See :func:`geometric_ensemble`.

    Returns:
        Unnormalised log-probabilities, float32, ``[B, N, K]``.

    Raises:
        ValueError: If ``alpha`` or ``beta`` is outside [0, 1].

    Source: EOV-Seg, appendix E, table 10 ("linear weighted ensemble").
    """

    def mix(trained: Tensor, frozen: Tensor, weight: Tensor) -> Tensor:
        # The weights 0 and 1 have the log -inf, which drops one finite summand.
        return torch.logaddexp((1 - weight).log() + trained, weight.log() + frozen)

    return _ensemble(mix, in_vocab, out_vocab, seen, alpha, beta, valid)


def _ensemble(
    mix: Callable[[Tensor, Tensor, Tensor], Tensor],
    in_vocab: Tensor,
    out_vocab: Tensor,
    seen: Tensor,
    alpha: float,
    beta: float,
    valid: Tensor | None,
) -> Tensor:
    """Mix log-probabilities; see :func:`geometric_ensemble`."""
    check_ensemble_weights(alpha, beta)
    trained = in_vocab.float().log_softmax(-1)
    frozen = out_vocab.float().log_softmax(-1)
    weight = trained.new_full(seen.shape, beta).masked_fill(seen, alpha)
    mixed = mix(trained, frozen, weight)
    if valid is None:
        return mixed
    # Selected, not multiplied: an empty mask may give NaN on the CLIP side.
    return torch.where(valid.unsqueeze(-1), mixed, trained)


ENSEMBLES = {'geometric': geometric_ensemble, 'arithmetic': arithmetic_ensemble}


def append_void(class_logits: Tensor, mixed: Tensor) -> Tensor:
    """Put the void probability of the trained scores beside the mixed class scores.

    Args:
        class_logits: Trained class logits, void last, ``[B, N, K + 1]``.
        mixed: Unnormalised log-probabilities of the classes, ``[B, N, K]``.

    Returns:
        Log-probabilities over classes and void, float32, ``[B, N, K + 1]``.

    Source: EOV-Seg's code (after ODISE and FC-CLIP).
    """
    void = class_logits.float().softmax(-1)[..., -1:]
    classes = mixed.float().softmax(-1) * (1 - void)
    return (torch.cat([classes, void], -1) + 1e-8).log()
