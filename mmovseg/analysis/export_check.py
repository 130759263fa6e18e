"""Compare exported files with the model that they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from ..apis.export import INPUTS, SegmentorGraph, embed_vocabulary

TOLERANCE = 1e-3
# Of the queries. The decoder pools inside hard masks: where rounding flips a pixel, a
# small mask changes visibly, in any two implementations.
SHARE = 0.95
SHAPES = ((1, 256, 320), (2, 320, 192))  # batch, height, width


@torch.no_grad()
def measure_errors(
    model: BaseModel, path: str | Path, *, text_input: bool
) -> Iterator[tuple[tuple[int, int, int], Tensor]]:
    """Run a file and its model on noise of two sizes, a single image and a pair.

    Args:
        model: What the file was exported from, on the CPU.
        path: Ends with ``.onnx`` (run by ONNX Runtime) or ``.pt2``.
        text_input: As in :func:`~mmovseg.apis.export.export_program`.

    Yields:
        Batch, height and width; and for every query the largest difference of its
        scores or mask logits, as a share of the largest of all queries, ``[B * N]``.

    Raises:
        ImportError: If ONNX Runtime is missing.
    """
    run = _load(Path(path))
    text = embed_vocabulary(model, model.vocabulary)
    graph = SegmentorGraph(model, text)
    generator = torch.Generator().manual_seed(0)
    for shape in SHAPES:
        batch, *size = shape
        images = 255 * torch.rand(batch, 3, *size, generator=generator)
        outputs = run(images, *(text if text_input else ()))
        errors = [
            ((actual - expected).abs() / expected.abs().max()).flatten(2).amax(-1)
            for actual, expected in zip(outputs, graph(images), strict=True)
        ]
        yield shape, torch.maximum(*errors).flatten()


def _load(path: Path) -> Callable[..., Any]:
    """Return the file as a function from tensors to tensors."""
    if path.suffix == '.pt2':
        return torch.export.load(path).module()
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"Running {path} needs another package: pip install 'mmovseg[export]'."
        ) from error
    session = onnxruntime.InferenceSession(str(path))

    def run(*inputs: Tensor) -> list[Tensor]:
        named = {name: x.numpy() for name, x in zip(INPUTS, inputs, strict=False)}
        return [torch.from_numpy(x) for x in session.run(None, named)]

    return run
