"""Pure functions on masks, regions and class scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_masks(mask_logits: Tensor, size: Sequence[int]) -> Tensor:
    """Resize mask logits bilinearly (corners not aligned) where the size differs.

    Args:
        mask_logits: ``[B, N, h, w]``.
        size: Height and width wanted.

    Returns:
        ``[B, N, *size]``.
    """
    if _is_size(mask_logits.shape[-2:], size):
        return mask_logits
    return F.interpolate(mask_logits, size=size, mode='bilinear', align_corners=False)


def _is_size(actual: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two sizes are equal; in a graph, whether they are for all inputs."""
    if torch.compiler.is_compiling():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        pairs = zip(actual, wanted, strict=True)
        return all(statically_known_true(a == b) for a, b in pairs)
    return tuple(actual) == tuple(wanted)


def to_channels_last(x: Tensor) -> Tensor:
    """Lay a map ``[B, C, H, W]`` out with the channels of a position side by side.

    Convolutions on a CPU are faster so, in half precision several times. Elsewhere it
    has not been measured and does nothing. A compiler chooses layouts itself, and its
    graphs should not depend on strides.
    """
    if x.device.type != 'cpu' or torch.compiler.is_compiling():
        return x
    return x.to(memory_format=torch.channels_last)


def from_host(
    values: Tensor | Sequence,
    device: torch.device | str,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Put a few numbers of the host on a device, without waiting for its work.

    Args:
        values: A tensor of the host, not of a GPU, or what ``torch.as_tensor`` takes.
        device: Where they are needed. A GPU copies them when it gets there.
        dtype: Of the result; None keeps that of the values.

    Returns:
        The values on the device.
    """
    tensor = torch.as_tensor(values, dtype=dtype)
    if torch.device(device).type == 'cuda':
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def soft_masks(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return mask probabilities at the size of a map, resized after the sigmoid.

    Args:
        mask_logits: ``[B, N, h, w]``.
        size: Height and width wanted.

    Returns:
        ``[B, N, *size]`` in [0, 1].
    """
    return resize_masks(mask_logits.sigmoid(), size)


def upcast(x: Tensor) -> Tensor:
    """Return half precision as float32, anything wider as it is."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context without autocast, which does nothing where there is none.

    An exported graph gets a nested graph for every switch, with fixed sizes in ONNX.
    """
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def to_autocast(x: Tensor) -> Tensor:
    """Return what a product under autocast makes of a float32, to do it only once."""
    kind = x.device.type
    if x.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x


def make_masks(kernels: Tensor, pixels: Tensor) -> Tensor:
    """Multiply the kernel of each query with the features of each position.

    Args:
        kernels: ``[B, N, C]``.
        pixels: ``[B, C, h, w]``.

    Returns:
        Mask logits, ``[B, N, h, w]``.
    """
    if pixels.device.type != 'cpu' or torch.compiler.is_compiling():
        return torch.einsum('bnc,bchw->bnhw', kernels, pixels)
    # Batched products of half precision copy what is not contiguous, at length.
    pairs = zip(kernels, pixels.flatten(2), strict=True)
    return torch.stack([a @ b for a, b in pairs]).unflatten(2, pixels.shape[-2:])


def mask_sum(features: Tensor, masks: Tensor) -> Tensor:
    """Sum features inside each mask, in at least float32, also under autocast.

    A map has tens of thousands of positions: half precision would overflow.

    Args:
        features: ``[B, C, H, W]``.
        masks: bool, ``[B, N, H, W]``.

    Returns:
        float32, ``[B, N, C]``.
    """
    with without_autocast(features.device):
        features = upcast(features)
        return torch.einsum('bnhw,bchw->bnc', masks.to(features.dtype), features)


class MapToPool:
    """Stands in ``mask_pool`` for a map that is never in memory as a whole.

    Attributes:
        size: Height and width of the map.
        dtype: Of the map.
    """

    size: tuple[int, int]
    dtype: torch.dtype

    def mask_sum(self, masks: Tensor) -> Tensor:
        """Do what :func:`mask_sum` does."""
        raise NotImplementedError


def mask_pool(features: Tensor | MapToPool, mask_logits: Tensor) -> Tensor:
    """Average features inside each hard mask; no gradient passes through the mask.

    Args:
        features: ``[B, C, H, W]``, or what stands for it.
        mask_logits: ``[B, N, h, w]``, resized to the features where they differ.

    Returns:
        ``[B, N, C]``; zeros for a mask without a positive pixel.

    Source: EOV-Seg, lightweight decoder; threshold and epsilon from its code.
    """
    if isinstance(features, MapToPool):
        masks = resize_masks(mask_logits.detach(), features.size) > 0
        total = features.mask_sum(masks)
    else:
        masks = resize_masks(mask_logits.detach(), features.shape[-2:]) > 0
        total = mask_sum(features, masks)
    # Clamped: an empty mask sums to zero whatever it is divided by.
    area = masks.count_nonzero((-2, -1)).clamp(min=1).unsqueeze(-1)
    return (total / area).to(features.dtype)


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
