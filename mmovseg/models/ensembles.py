"""Mixing trained class scores with those of a frozen CLIP."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import MODELS


class Ensemble(BaseModule):
    """Mix two class probabilities of each mask, with a weight per class.

    Args:
        alpha: Weight of CLIP for classes of the training vocabulary, in [0, 1].
        beta: Weight of CLIP for other classes, in [0, 1].
        valid_only: A mask that CLIP could not look at keeps its trained scores.
        void_gamma: Void is multiplied by ``1 - void_gamma * q``, where ``q`` is CLIP's
            largest probability of a class: what CLIP is sure of is hardly void (COAT
            of OVRCOAT, CVPR 2026). 0 leaves void as it is.
        void_scale: Factor of the odds of void, above 0; 1 leaves them as they are.
        init_cfg: Unused: an ensemble has no weights.

    Raises:
        ValueError: If ``alpha``, ``beta`` or ``void_gamma`` is outside [0, 1], or
            ``void_scale`` is not above 0.
    """

    def __init__(
        self,
        alpha: float,
        beta: float,
        *,
        valid_only: bool = False,
        void_gamma: float = 0.0,
        void_scale: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        shares = dict(alpha=alpha, beta=beta, void_gamma=void_gamma)
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f'ensemble.{name} must be in [0, 1], got {value}.')
        if not 0 < void_scale < math.inf:
            raise ValueError(f'ensemble.void_scale must be above 0, got {void_scale}.')
        self.void_gamma = void_gamma
        self.void_scale = void_scale
        self.alpha = alpha
        self.beta = beta
        self.valid_only = valid_only

    def clip_weight(self, seen: Tensor) -> Tensor:
        """Return the weight of CLIP for each class, float32, ``[K]``."""
        beta = torch.full(seen.shape, self.beta, device=seen.device)
        return beta.masked_fill(seen, self.alpha)

    @abstractmethod
    def mix(self, trained: Tensor, frozen: Tensor, seen: Tensor) -> Tensor:
        """Mix log-probabilities.

        Args:
            trained: Of the trained classifier, ``[..., K]``.
            frozen: Of CLIP, ``[..., K]``.
            seen: True where the class was in the training vocabulary, ``[K]``.

        Returns:
            Logarithms of scores that need not sum to 1, ``[..., K]``.
        """

    def forward(
        self,
        class_logits: Tensor,
        clip_logits: Tensor,
        seen: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Mix the scores of the classes; void is the trained one.

        ``void_scale`` and ``void_gamma`` change it if they are set.

        Args:
            class_logits: Of the trained classifier, void last, ``[B, N, K + 1]``.
            clip_logits: Of CLIP, without void, ``[B, N, K]``.
            seen: True where the class was in the training vocabulary, ``[K]``.
            valid: True where CLIP could look at the mask, ``[B, N]``.

        Returns:
            Log-probabilities, void last, float32, ``[B, N, K + 1]``.

        Source: EOV-Seg's code for void (after ODISE and FC-CLIP).
        """
        trained = class_logits[..., :-1].float().log_softmax(-1)
        frozen = clip_logits.float().log_softmax(-1)
        mixed = self.mix(trained, frozen, seen)
        if self.valid_only:
            # Selected, not multiplied: an empty mask may give NaN on the CLIP side.
            mixed = torch.where(valid.unsqueeze(-1), mixed, trained)
        void = class_logits.float().softmax(-1)[..., -1:]
        if self.void_scale != 1:
            odds = self.void_scale * void
            void = odds / (odds + 1 - void)
        if self.void_gamma:
            doubt = 1 - self.void_gamma * frozen.exp().amax(-1, keepdim=True)
            if self.valid_only:
                doubt = torch.where(valid.unsqueeze(-1), doubt, 1.0)
            void = void * doubt
        classes = mixed.softmax(-1) * (1 - void)
        return (torch.cat([classes, void], -1) + 1e-8).log()


@MODELS.register_module()
class GeometricEnsemble(Ensemble):
    """Multiply powers of the two probabilities: ``p^(1 - w) q^w``.

    ``p`` is the trained one, ``q`` CLIP's; ``w`` is ``alpha`` for classes of the
    training vocabulary and ``beta`` for others. Takes the arguments of
    :class:`Ensemble`.

    Example:
        >>> import torch
        >>> ensemble = GeometricEnsemble(alpha=0.4, beta=0.8)
        >>> ensemble.clip_weight(torch.tensor([True, False])).tolist()
        [0.4000000059604645, 0.800000011920929]

    Source: EOV-Seg, equation 11 of the appendix.
    """

    def mix(self, trained: Tensor, frozen: Tensor, seen: Tensor) -> Tensor:
        """See :meth:`Ensemble.mix`."""
        weight = self.clip_weight(seen)
        # Products of probabilities underflow at CLIP's temperature, sums of logs do
        # not.
        return (1 - weight) * trained + weight * frozen


@MODELS.register_module()
class ArithmeticEnsemble(Ensemble):
    """Average the two probabilities: ``(1 - w) p + w q``.

    Letters and arguments are those of :class:`GeometricEnsemble`.

    Example:
        >>> import torch
        >>> ensemble = ArithmeticEnsemble(alpha=0.5, beta=1.0)
        >>> trained, clip = torch.tensor([[0.6, 0.4], [0.2, 0.8]]).log()
        >>> mixed = ensemble.mix(trained, clip, seen=torch.tensor([True, False]))
        >>> [round(x, 2) for x in mixed.exp().tolist()]
        [0.4, 0.8]

    Source: EOV-Seg, appendix E, table 10 ("linear weighted ensemble").
    """

    def mix(self, trained: Tensor, frozen: Tensor, seen: Tensor) -> Tensor:
        """See :meth:`Ensemble.mix`."""
        weight = self.clip_weight(seen)
        # The weights 0 and 1 have the log -inf, which drops one finite summand.
        return torch.logaddexp((1 - weight).log() + trained, weight.log() + frozen)


@MODELS.register_module()
class CropEnsemble(GeometricEnsemble):
    """The geometric ensemble of SimBaseline, whose void takes what the classes leave.

    Args:
        weight: Exponent of the trained probability for classes of the training
            vocabulary and of CLIP's for others, in (0, 1]. The other of the two gets
            the rest.
        use_seen: False treats all classes as unseen, as the released code does on
            other datasets.
        valid_only: Leave out a mask without crop. It counts with a crop probability
            of 1 otherwise.
        init_cfg: Unused: an ensemble has no weights.

    Raises:
        ValueError: If ``weight`` is outside (0, 1].

    Source: SimBaseline (arXiv 2112.14757) as in DeOP's code.
    """

    def __init__(
        self,
        weight: float,
        use_seen: bool = True,
        *,
        valid_only: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        if not 0 < weight <= 1:
            raise ValueError(
                f'ensemble.weight must be in (0, 1], got {weight}; ensemble=None takes '
                'the classes of the crops alone.'
            )
        alpha = 1 - weight if use_seen else weight
        super().__init__(alpha, weight, valid_only=valid_only, init_cfg=init_cfg)

    def forward(
        self,
        class_logits: Tensor,
        clip_logits: Tensor,
        seen: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Mix the scores of the masks of one image.

        Args:
            class_logits: Of the proposal network, void last, ``[N, K + 1]``.
            clip_logits: Of the crops, without void, ``[N, K]``.
            seen: True where the class was in the training vocabulary, ``[K]``.
            valid: True where there was a crop, ``[N]``.

        Returns:
            Log-probabilities, void last, ``[N, K + 1]``; see :func:`with_void`.
        """
        invalid = ~valid.unsqueeze(-1)
        trained = class_logits.float().log_softmax(-1)[..., :-1]
        frozen = clip_logits.float().log_softmax(-1).masked_fill(invalid, 0)
        mixed = self.mix(trained, frozen, seen)
        if self.valid_only:
            mixed = mixed.masked_fill(invalid, -torch.inf)
        return with_void(mixed)


def with_void(scores: Tensor) -> Tensor:
    """Divide the scores of an image by one number, so that void can take the rest.

    The products of an ensemble are no probabilities: those of a mask may sum to more
    than 1. A common divisor leaves every comparison between classes as it is.

    Args:
        scores: Logarithms of scores, ``[N, K]``; minus infinity is allowed.

    Returns:
        Log-probabilities, void last, ``[N, K + 1]``.
    """
    total = scores.logsumexp(-1, keepdim=True)  # [N, 1]
    divisor = total.amax().clamp(min=0)
    void = torch.log1p(-(total - divisor).exp())
    return torch.cat([scores - divisor, void], -1)


def build_ensemble(
    ensemble: dict | None, default: str
) -> GeometricEnsemble | ArithmeticEnsemble | CropEnsemble | None:
    """Build the ensemble of a model.

    Args:
        ensemble: Its config; None for none.
        default: The type of a config without one.

    Raises:
        ValueError: If the config has the ``kind`` of earlier versions.
    """
    if ensemble is None:
        return None
    if 'kind' in ensemble:
        raise ValueError(
            f'ensemble.kind={ensemble["kind"]!r} has become the type: write '
            "ensemble=dict(type='GeometricEnsemble', ...) or 'ArithmeticEnsemble'."
        )
    return MODELS.build(ensemble, default_args=dict(type=default))


__all__ = ['ArithmeticEnsemble', 'CropEnsemble', 'GeometricEnsemble']
