"""Embed the segments of a photo by the maps that its model computes anyway."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..vocabulary import Vocabulary
from .fast_mode import FastExecution
from .inferencer import OVSegInferencer

CELL = 4  # pixels of the network's input that one position of the masks has


class Recorder(nn.Module):
    """Call a part of a model, and keep what it was given and what it gave.

    Args:
        part: The part; other attributes than those of a module are its own.

    Attributes:
        arguments: Of the last call, by position, then by name.
        output: Of the last call.
    """

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part
        self.arguments: tuple = ()
        self.output: Any = None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__('part'), name)

    def forward(self, *arguments: Any, **options: Any) -> Any:
        """Call the part."""
        self.arguments = (*arguments, *options.values())
        self.output = self.part(*arguments, **options)
        return self.output


def observe(model: Any, *names: str) -> tuple[Any, list[Recorder | None]]:
    """Copy a model without its weights, so that some of its parts can be watched.

    Hooks on the model itself would see the calls of other threads.

    Args:
        model: A segmentor.
        names: Of its parts.

    Returns:
        The copy, and a recorder per part; None where the model has no such part.
    """
    observed = copy.copy(model)
    observed._modules = dict(model._modules)
    recorders: list[Recorder | None] = []
    for name in names:
        part = observed._modules.get(name)
        recorder = None if part is None else Recorder(part)
        if recorder is not None:
            observed._modules[name] = recorder
        recorders.append(recorder)
    return observed, recorders


class RegionEmbedder:
    """Run the model of an inferencer, and embed regions of the photo.

    The embedding of a region is the mean of each map of the backbone inside of it, less
    the mean of the photo, with length 1. So it tells regions of one photo apart, and
    costs no pass through a network. A model is run as its inferencer runs it, but
    without compiled programs.

    Use one in one thread at a time. Nothing of the inferencer is changed.

    Args:
        inferencer: With the model.
    """

    def __init__(self, inferencer: OVSegInferencer) -> None:
        self.inferencer = copy.copy(inferencer)
        self.inferencer.model, [self._backbone] = observe(inferencer.model, 'backbone')
        execution = inferencer.model.execution
        if isinstance(execution, FastExecution) and execution.mode.compile:
            mode = execution.mode._replace(compile=False, graphs=False)
            self.inferencer.model.execution = FastExecution(mode, False)

    def forward(self, batch: Any, vocabulary: Vocabulary) -> BaseDataElement:
        """Segment one photo; see :meth:`OVSegInferencer.forward`."""
        [sample] = self.inferencer.forward(batch, vocabulary=vocabulary)
        return sample

    @torch.no_grad()
    def embed(
        self, label_map: np.ndarray, ids: Sequence[int], img_shape: Sequence[int]
    ) -> np.ndarray | None:
        """Embed regions of the photo that :meth:`forward` has segmented last.

        Args:
            label_map: Numbers of the regions, ``[H, W]``.
            ids: Those to embed, N of them.
            img_shape: Height and width of the photo in the network, without padding.

        Returns:
            Unit rows, ``[N, D]`` float32, of zeros for regions that no position of the
            maps lies in. None for a model whose backbone gives no maps.
        """
        maps = self._read_maps()
        if not maps or self._backbone is None:
            return None
        padded = self._backbone.arguments[0].shape[-2:]
        sampled = _sample_masks(label_map, ids, img_shape, padded)
        masks = torch.as_tensor(sampled, device=maps[0].device)[None].float()
        parts = [_pool(x, masks, img_shape, padded) for x in maps]
        rows = torch.cat(parts, -1) / len(parts) ** 0.5
        return rows.cpu().numpy()

    def _read_maps(self) -> list[Tensor]:
        if self._backbone is None:
            return []
        output = self._backbone.output
        maps = [output] if isinstance(output, Tensor) else list(output or ())
        return [x.float() for x in maps if isinstance(x, Tensor) and x.ndim == 4]


def _sample_masks(
    label_map: np.ndarray,
    ids: Sequence[int],
    img_shape: Sequence[int],
    padded: Sequence[int],
) -> np.ndarray:
    """Return bool masks of regions with a position per cell of the input, padded."""
    places = []
    for size, used, whole in zip(label_map.shape, img_shape, padded, strict=False):
        centers = (np.arange(-(-whole // CELL)) + 0.5) * CELL
        place = np.minimum(centers * size / used, size - 1).astype(int)
        places.append((place, centers < used))
    (rows, there_y), (columns, there_x) = places
    small = label_map[np.ix_(rows, columns)]
    inside = there_y[:, None] & there_x
    return (small == np.asarray(ids).reshape(-1, 1, 1)) & inside


def _pool(
    features: Tensor, masks: Tensor, img_shape: Sequence[int], padded: Sequence[int]
) -> Tensor:
    """Average a map ``[1, C, h, w]`` inside of masks ``[1, N, h', w']``, ``[N, C]``."""
    height, width = features.shape[-2:]
    weights = F.adaptive_avg_pool2d(masks, (height, width))[0].flatten(1)  # [N, hw]
    rows = max(1, round(height * img_shape[0] / padded[0]))
    columns = max(1, round(width * img_shape[1] / padded[1]))
    mean = features[0, :, :rows, :columns].mean((1, 2))  # [C]
    total = weights.sum(1, keepdim=True)
    pooled = weights @ features[0].flatten(1).T / total.clamp(min=1e-6) - mean
    return F.normalize(pooled * (total > 0), dim=1)
