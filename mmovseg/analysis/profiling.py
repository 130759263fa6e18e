"""Parameters, multiply-accumulates and time of a model, part by part."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..apis.config import load_config, without_downloads
from ..models import ops
from ..models.backbones import CLIPViTBackbone
from ..models.structures import TextEmbeddings
from ..registry import MODELS
from ..vocabulary import Vocabulary


class Parameters(NamedTuple):
    """Counts of numbers in a part.

    Attributes:
        total: All of them.
        trainable: Those with a gradient.
    """

    total: int
    trainable: int


def build_model(
    config: str,
    cfg_options: Mapping[str, Any] | None = None,
    *,
    vocabulary: Vocabulary | str | None = None,
    device: str = 'cpu',
) -> BaseModel:
    """Build a model with random weights, in eval mode; downloads nothing.

    Args:
        config: A path or the name of a packaged config.
        cfg_options: Values of the config to change, by dotted name.
        vocabulary: Test vocabulary, instead of the config's.
        device: Where the model goes.

    Returns:
        The model; its config is ``model.cfg``.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmovseg'))
    model = revert_sync_batchnorm(MODELS.build(without_downloads(cfg.model)))
    if vocabulary is not None:
        model.set_vocabulary(vocabulary)
    model.cfg = cfg
    return model.to(device).eval()


def random_text(model: BaseModel) -> TextEmbeddings:
    """Make random embeddings for the model's vocabulary, without encoding it."""
    vocabulary = model.vocabulary
    if model.text_classifier is None:
        return model.encode_vocabulary(vocabulary)
    device = next(model.parameters()).device
    width = model.text_classifier.embed_dims
    weight = torch.randn(len(vocabulary.all_names) + 1, width, device=device)
    class_ids = [*vocabulary.class_ids, len(vocabulary)]
    known = None
    if getattr(model, 'known_classes', None) is not None:
        known = torch.randn(len(model.known_classes), width, device=device)
        known = F.normalize(known, dim=-1)
    return TextEmbeddings(
        F.normalize(weight, dim=-1),
        torch.tensor(class_ids, device=device),
        len(vocabulary),
        model.seen,
        known,
    )


@torch.no_grad()
def run_model(model: BaseModel, inputs: Tensor, text: TextEmbeddings | None) -> list:
    """Segment a batch and fuse the results, with given text embeddings.

    In the fast mode with buckets the batch is padded as the preprocessor would do it.
    """
    size, samples = tuple(inputs.shape[-2:]), None
    fast = model.fast_mode
    if fast is not None and fast.bucket is not None:
        height, width = (-length % fast.bucket for length in size)
        inputs = F.pad(inputs, (0, width, 0, height))
        sizes = dict(img_shape=size, ori_shape=size)
        samples = [BaseDataElement(metainfo=sizes) for _ in inputs]
    prediction = model.predict_masks(inputs, text, samples)
    padded = tuple(inputs.shape[-2:])
    return model.fusion(prediction, samples, model.vocabulary, padded)


def draw_masks(model: BaseModel, count: int) -> None:
    """Let the proposals of a model be ellipses, the same ones for every model.

    Its proposal network still runs.

    Args:
        model: Changed in place.
        count: Number of masks with pixels; the other proposals have none.

    Raises:
        ValueError: If the model has no proposal network, or not so many proposals.
    """
    if not hasattr(model, 'proposals'):
        raise ValueError(
            f'--valid-masks: {type(model).__name__} has no proposal network.'
        )
    num = model.cfg.model.proposals.get('num_queries', 100)
    if not 0 <= count <= num:
        raise ValueError(f'--valid-masks: {count} of {num} proposals is impossible.')

    def replace(module: nn.Module, images: Any, proposals: list) -> list:
        logits = proposals[-1].mask_logits
        height, width = logits.shape[-2:]
        draws = torch.rand(4, count, 1, 1, generator=torch.Generator().manual_seed(0))
        # Centers anywhere, radii of 5 to 30 per cent of the image.
        y, x, tall, wide = (draw.to(logits.device) for draw in draws)
        rows = torch.linspace(0, 1, height, device=logits.device).view(-1, 1)
        columns = torch.linspace(0, 1, width, device=logits.device)
        distance = ((rows - y) / (0.05 + 0.25 * tall)) ** 2
        distance = distance + ((columns - x) / (0.05 + 0.25 * wide)) ** 2
        drawn = torch.full_like(logits, -10.0)
        drawn[:, :count] = (10 * (1 - distance)).clamp(-10, 10).to(logits.dtype)
        return [proposals[-1]._replace(mask_logits=drawn)]

    model.proposals.register_forward_hook(replace)


@contextmanager
def watch_parts(
    model: nn.Module, read: Callable[[], float], *, depth: int = 1
) -> Iterator[dict[str, float]]:
    """Sum up what a counter gains in each part of a model.

    Args:
        model: The ``forward`` methods of its parts are watched; in fast mode with a
            compiled core that of the fusion alone, as programs cannot be watched.
        read: Returns the counter, such as a clock or a number of operations.
        depth: 1 for direct children, 2 for theirs too, and so on. The members of a
            ``ModuleList`` count together, under its name.

    Yields:
        Gain by dotted name, that of a part including its own parts; filled while the
        context is open. What never ran is missing.
    """
    gains: dict[str, float] = {}
    starts: dict[str, float] = {}
    handles = []
    thread = threading.get_ident()  # others may use the model meanwhile

    def watch(name: str, part: nn.Module) -> None:
        def start(*_: Any) -> None:
            if threading.get_ident() == thread:
                starts[name] = read()

        def stop(*_: Any) -> None:
            if threading.get_ident() == thread:
                gains[name] = gains.get(name, 0) + read() - starts[name]

        handles.append(part.register_forward_pre_hook(start))
        handles.append(part.register_forward_hook(stop))

    fast = getattr(model, 'fast_mode', None)
    compiled = fast is not None and fast.compile
    for name, part in _named_parts(model, depth):
        if not compiled or name == 'fusion':
            watch(name, part)
    try:
        yield gains
    finally:
        for handle in handles:
            handle.remove()


def _named_parts(
    module: nn.Module, depth: int, prefix: str = ''
) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        for part in child if isinstance(child, nn.ModuleList) else [child]:
            yield prefix + name, part
            if depth > 1:
                yield from _named_parts(part, depth - 1, f'{prefix}{name}.')


def measure_parts(
    model: BaseModel,
    read: Callable[[], float],
    run: Callable[[], object],
    *,
    depth: int = 1,
) -> dict[str, float]:
    """Return what a counter gains in one run: in each part, in the rest, in total.

    Args:
        model: The model.
        read: Returns the counter.
        run: Runs the model once.
        depth: As in :func:`watch_parts`.

    Returns:
        Gain by name, in the order of execution, a part before its own parts. ``rest``
        is what no direct child did; ``fusion``, if there is one, and ``total`` are
        last.
    """
    with watch_parts(model, read, depth=depth) as gains:
        start = read()
        run()
        total = read() - start
    children = [name for name in gains if '.' not in name]
    last = [name for name in children if name == 'fusion']
    parts: dict[str, float] = {}
    for child in [x for x in children if x not in last]:
        inner = [name for name in gains if name.startswith(f'{child}.')]
        parts.update((name, gains[name]) for name in sorted([child, *inner]))
    parts['rest'] = total - sum(gains[name] for name in children)
    parts.update((name, gains[name]) for name in last)
    parts['total'] = total
    return parts


def read_clock(device: torch.device) -> Callable[[], float]:
    """Return a clock in seconds that waits for what a device has still to do."""

    def read() -> float:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def time_models(
    models: Sequence[BaseModel],
    inputs: Tensor,
    *,
    warmup: int,
    repeat: int,
    depth: int = 1,
    texts: Sequence[TextEmbeddings | None] | None = None,
    plain: Sequence[bool] | None = None,
) -> list[dict[str, list[float]]]:
    """Time models in turns, so that what else the machine does meets all of them.

    Args:
        models: On the device of the inputs.
        inputs: Normalized, padded images, ``[B, 3, H, W]``.
        warmup: Runs that are not counted.
        repeat: Runs that are.
        depth: As in :func:`watch_parts`.
        texts: Text embeddings for each model; random ones by default, which seeds
            torch.
        plain: Whether each model runs in the plain form of its operations; None
            means that none does.

    Returns:
        For each model the seconds of every counted run, by name as from
        :func:`measure_parts`. On a GPU, which is waited for at every part, ``total``
        is of another run without that.
    """
    read = read_clock(inputs.device)
    if texts is None:
        texts = []
        for model in models:
            torch.manual_seed(0)  # the same for all: what is found depends on it
            texts.append(random_text(model))
    plain = [False] * len(models) if plain is None else plain
    times: list[dict[str, list[float]]] = [{} for _ in models]
    for index in range(warmup + repeat):
        for model, text, active, rows in zip(models, texts, plain, times, strict=True):

            def run(
                model: BaseModel = model, text: Any = text, active: bool = active
            ) -> None:
                with ops.plain(active):
                    run_model(model, inputs, text)

            parts = measure_parts(model, read, run, depth=depth)
            if inputs.is_cuda:
                start = read()
                run()
                parts['total'] = read() - start
            if index >= warmup:
                for name, seconds in parts.items():
                    rows.setdefault(name, []).append(seconds)
    return times


def wait_passively() -> None:
    """Start the program anew unless waiting threads sleep (``OMP_WAIT_POLICY``).

    It is read when torch starts. Threads that wait by spinning make timings erratic
    where cores are shared.
    """
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'
        os.execv(sys.executable, [sys.executable, *sys.argv])


@contextmanager
def count_macs() -> Iterator[Callable[[], float]]:
    """Count multiply-accumulates of convolutions and matrix products.

    Deformable convolutions and the products of attention are included; norms,
    activations, resizing and the bilinear sampling of deformable convolutions are not.

    Yields:
        A function that returns the count so far.
    """
    aten = torch.ops.aten
    # Fused kernels hide what they compute; PyTorch counts those of GPUs itself.
    formulas = {
        torch.ops.torchvision.deform_conv2d: _deform_conv_flops,
        aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
        aten._native_multi_head_attention: _native_attention_flops,
    }
    with FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        yield lambda: counter.get_total_flops() / 2


def _attention_flops(
    query: Sequence[int], key: Sequence[int], value: Sequence[int], *_: Any, **__: Any
) -> int:
    """Count queries by keys and weights by values."""
    return sdpa_flop_count(query, key, value)


def _native_attention_flops(query_shape: Sequence[int], *_: Any, **__: Any) -> int:
    """Count four projections, queries by keys and weights by values."""
    batch, length, channels = query_shape
    return 2 * batch * length * channels * (4 * channels + 2 * length)


def _deform_conv_flops(
    input_shape: Sequence[int],
    weight_shape: Sequence[int],
    *_: Any,
    out_shape: Sequence[int],
    **__: Any,
) -> int:
    """Count a deformable convolution like the plain one with the same weight."""
    out_pixels = out_shape[0] * out_shape[-2] * out_shape[-1]
    return 2 * out_pixels * torch.Size(weight_shape).numel()


def text_sample(vocabulary: Vocabulary, size: int = 8) -> tuple[Vocabulary, float]:
    """Take the first classes, to estimate what encoding a vocabulary costs.

    Args:
        vocabulary: The whole.
        size: Number of classes.

    Returns:
        The sample, and how many times as many names the whole has.
    """
    sample = Vocabulary(vocabulary.synonyms[:size], vocabulary.is_thing[:size])
    return sample, len(vocabulary.all_names) / len(sample.all_names)


def count_parameters(model: BaseModel) -> dict[str, Parameters]:
    """Count by part; the text tower is a separate part, ``text_tower``."""
    tower = {id(p) for p in _text_tower(model).parameters()}
    counts = {}
    for name, child in model.named_children():
        rest = [p for p in child.parameters() if id(p) not in tower]
        counts[name] = _count(rest)
    counts['text_tower'] = _count(_text_tower(model).parameters())
    return counts


def paper_parameters(model: BaseModel) -> int | None:
    """Count as EOV-Seg's paper does, whose script mistakes one block for another.

    For the spatial branch it counts the patch convolution, the embeddings and the
    first block of CLIP's *text* tower, in place of the first block of the image tower
    and ``ln_pre``, which are what runs. The text tower is left out.

    Returns:
        The count, or None if the model has no spatial branch of that kind.

    Source: ``get_flops`` of the released code; EOV-Seg, tables 1 and 2.
    """
    spatial = getattr(model, 'spatial_backbone', None)
    config = model.cfg.model.get('spatial_backbone', {})
    if not isinstance(spatial, CLIPViTBackbone) or config.get('num_blocks') != 1:
        return None
    counts = count_parameters(model)
    total = sum(part.total for name, part in counts.items() if name != 'text_tower')
    for name, parameter in spatial.named_parameters():
        if '.transformer.' in name or '.ln_pre.' in name:
            total -= parameter.numel()
    width = open_clip.get_model_config(config['model_name'])['text_cfg']['width']
    # Attention 4 w² + 4 w, MLP 8 w² + 5 w, two norms 4 w.
    return total + 12 * width**2 + 13 * width


def _text_tower(model: BaseModel) -> nn.Module:
    return getattr(model.text_classifier, 'clip', None) or nn.Module()


def _count(parameters: Any) -> Parameters:
    parameters = list(parameters)
    return Parameters(
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
    )
