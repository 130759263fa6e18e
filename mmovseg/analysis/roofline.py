"""What the parts of a model cost, and what the machine could do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .profiling import (
    count_macs,
    measure_parts,
    random_text,
    read_clock,
    run_model,
    time_models,
)

# They name or reserve memory and move none.
_FREE = {
    torch.ops.aten.empty,
    torch.ops.aten.empty_like,
    torch.ops.aten.empty_strided,
    torch.ops.aten.new_empty,
    torch.ops.aten._unsafe_view,
}


class Peak(NamedTuple):
    """What a device does at best.

    Attributes:
        flops: Of a large matrix product, FLOP/s.
        bandwidth: Of a large copy, bytes read and written per second.
    """

    flops: float
    bandwidth: float


class Cost(NamedTuple):
    """What a part of a model takes for one batch.

    Attributes:
        seconds: Median.
        flops: Of convolutions and matrix products; a multiply-accumulate counts two.
        bytes: Of the operands and results of its operators.
    """

    seconds: float
    flops: float
    bytes: float

    def bound(self, peak: Peak) -> str:
        """Return what keeps a perfect program from being faster."""
        compute = self.flops / peak.flops >= self.bytes / peak.bandwidth
        return 'compute' if compute else 'memory'

    def share(self, peak: Peak) -> float:
        """Return the time of a perfect program over the time taken; 0 of no time."""
        least = max(self.flops / peak.flops, self.bytes / peak.bandwidth)
        return least / self.seconds if self.seconds > 0 else 0.0


def measure_peak(
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    *,
    size: int | None = None,
    length: int | None = None,
    repeat: int = 5,
) -> Peak:
    """Time a matrix product and a copy, the best of a few runs each.

    Both take PyTorch's settings as they are, so that float32 products on a GPU use
    TF32 only where ``torch.backends.cuda.matmul.allow_tf32`` is set.

    Args:
        device: Where.
        dtype: Of the matrices; the copy is in float32.
        size: Rows and columns of the matrices; None is 8192 on a GPU, else 1024.
        length: Numbers copied; None is more than caches hold, 1 GiB on a GPU, else
            256 MiB.
        repeat: Runs of which the best counts.
    """
    device = torch.device(device)
    gpu = device.type == 'cuda'
    size = size or (8192 if gpu else 1024)
    a = torch.randn(size, size, device=device).to(dtype)
    product = torch.empty_like(a)
    source = torch.ones(length or (2**28 if gpu else 2**26), device=device)
    target = torch.empty_like(source)
    read = read_clock(device)

    def best(run: Callable[[], object]) -> float:
        run()
        seconds = []
        for _ in range(repeat):
            start = read()
            run()
            seconds.append(read() - start)
        return min(seconds)

    return Peak(
        2 * size**3 / best(lambda: torch.mm(a, a, out=product)),
        2 * source.nbytes / best(lambda: target.copy_(source)),
    )


@contextmanager
def count_bytes() -> Iterator[Callable[[], float]]:
    """Count the bytes that operators read and write, as if none were in a cache.

    Every operator reads its operands, parameters among them, and writes its results
    once; views cost nothing. An operator that reads a part of an operand, such as
    ``index_select``, counts with all of it.

    Yields:
        A function that returns the count so far.
    """
    with _ByteCounter() as counter:
        yield lambda: counter.total


class _ByteCounter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view and func.overloadpacket not in _FREE:
            operands = tree_leaves((args, kwargs, out))
            self.total += sum(_num_bytes(x) for x in operands if isinstance(x, Tensor))
        return out


def _num_bytes(x: Tensor) -> int:
    """Return the size in memory; what ``expand`` repeats is there once."""
    if not x.numel():
        return 0
    size = x.element_size()
    for length, stride in zip(x.shape, x.stride(), strict=True):
        size *= length if stride else 1
    return size


def profile_parts(
    model: BaseModel,
    inputs: Tensor,
    *,
    warmup: int,
    repeat: int,
    depth: int = 2,
) -> dict[str, Cost]:
    """Measure time, operations and bytes of every part of a model.

    Args:
        model: In eval mode and on the device of the inputs.
        inputs: Normalized, padded images, ``[B, 3, H, W]``.
        warmup: Runs that are not counted.
        repeat: Runs whose median is taken.
        depth: As in :func:`~mmovseg.analysis.profiling.watch_parts`.

    Returns:
        Cost by name, as :func:`~mmovseg.analysis.profiling.measure_parts` orders them.
    """
    times = time_models([model], inputs, warmup=warmup, repeat=repeat, depth=depth)[0]
    text = random_text(model)
    frozen = [p for p in model.parameters() if p.requires_grad]

    def run() -> None:
        run_model(model, inputs, text)

    # The counter of operations watches the gradients of what still has any.
    for parameter in frozen:
        parameter.requires_grad_(False)
    with count_macs() as read:
        macs = measure_parts(model, read, run, depth=depth)
    for parameter in frozen:
        parameter.requires_grad_(True)
    with count_bytes() as read:
        moved = measure_parts(model, read, run, depth=depth)
    return {
        name: Cost(float(np.median(seconds)), 2 * macs[name], moved[name])
        for name, seconds in times.items()
    }


def roofline_table(costs: Mapping[str, Cost], peak: Peak) -> str:
    """Write a Markdown table with a line per part; its own parts have a dot."""
    lines: list[Sequence[str]] = [
        (
            *('part', 'ms', 'GFLOP', 'MB', 'FLOP/byte', 'GFLOP/s', 'GB/s'),
            *('bound', 'share of peak'),
        ),
        ('---', *['---:'] * 6, '---', '---:'),
    ]
    for name, cost in costs.items():
        speed = [
            f'{amount / cost.seconds / 1e9:,.1f}' if cost.seconds > 0 else ''
            for amount in (cost.flops, cost.bytes)
        ]
        intensity = f'{cost.flops / cost.bytes:.1f}' if cost.bytes else ''
        lines.append(
            (
                name,
                f'{1000 * cost.seconds:,.1f}',
                f'{cost.flops / 1e9:,.2f}',
                f'{cost.bytes / 1e6:,.0f}',
                intensity,
                *speed,
                cost.bound(peak),
                f'{100 * cost.share(peak):.0f} %',
            )
        )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
