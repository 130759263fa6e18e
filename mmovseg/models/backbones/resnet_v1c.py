"""The ResNet of DeOP's proposals, with three convolutions in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule, Sequential
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmovseg.registry import MODELS

# Start of the name of the attribute, by type.
NORMS = {'BN': 'bn', 'SyncBN': 'bn', 'GN': 'gn'}


@MODELS.register_module()
class ResNetV1c(BaseModule):
    """``mmseg.ResNetV1c`` without mmseg and mmcv: its weights, numbers and names.

    Args:
        depth: 18, 34, 50, 101 or 152 layers.
        stem_channels: Channels of the third convolution; the first two have half.
        base_channels: Width of the first stage; it doubles with every stage.
        multi_grid: Dilations of the blocks of the last stage; None for none.
        norm_cfg: ``type`` is ``'BN'``, ``'SyncBN'`` or ``'GN'`` (with ``num_groups``);
            ``requires_grad=False`` freezes weight and bias.
        norm_eval: Keep the statistics of batch norms in training.
        zero_init_residual: Start the last norm of every block at zero.
        out_indices: Stages whose maps are returned, from 0.
        frozen_stages: Stages without training, besides the stem; -1 for none.
        init_cfg: MMEngine's initialization config; ``Pretrained`` takes checkpoints
            such as ``'open-mmlab://resnet50_v1c'``.

    Attributes:
        out_channels: Channels of the maps, finest first.
        strides: Of the maps, in pixels.

    Raises:
        ValueError: If there is no such depth, norm or stage, or the last stage has
            more blocks than ``multi_grid``.

    Source: arXiv 1512.03385; stem of arXiv 1812.01187; the arguments of MMSegmentation.
    """

    def __init__(
        self,
        depth: int,
        stem_channels: int = 64,
        base_channels: int = 64,
        *,
        multi_grid: Sequence[int] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        norm_eval: bool = False,
        zero_init_residual: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        init_cfg: dict | list | None = None,
    ) -> None:
        block, counts = _find_depth(depth)
        last: dict | None = None
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
            if zero_init_residual:
                last = dict(type='Constant', val=0, override=dict(name=block.last_norm))
        super().__init__(init_cfg)
        stages = range(len(counts))
        if not out_indices or not set(out_indices) <= set(stages):
            raise ValueError(f'out_indices are some of 0 to 3, got {out_indices}.')
        if multi_grid is not None and len(multi_grid) < counts[-1]:
            raise ValueError(
                f'The last stage has {counts[-1]} blocks, multi_grid {multi_grid}.'
            )
        norm = dict(type='BN') if norm_cfg is None else dict(norm_cfg)
        half = stem_channels // 2
        self.stem = nn.Sequential(
            nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False),
            build_norm(norm, half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            build_norm(norm, half),
            nn.ReLU(inplace=True),
            nn.Conv2d(half, stem_channels, 3, padding=1, bias=False),
            build_norm(norm, stem_channels),
            nn.ReLU(inplace=True),
        )
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = stem_channels
        for index, count in enumerate(counts):
            width = base_channels * 2**index
            dilations = [1] * count
            if multi_grid is not None and index == stages[-1]:
                dilations = list(multi_grid[:count])
            blocks = []
            for number, dilation in enumerate(dilations):
                stride = 2 if index > 0 and number == 0 else 1
                made = block(
                    channels, width, stride=stride, dilation=dilation, norm=norm
                )
                made.init_cfg = last
                blocks.append(made)
                channels = width * block.expansion
            self.add_module(f'layer{index + 1}', Sequential(*blocks))
        self.out_indices = tuple(out_indices)
        self.out_channels = tuple(
            base_channels * 2**index * block.expansion
            for index in stages
            if index in out_indices
        )
        self.strides = tuple(4 * 2**index for index in stages if index in out_indices)
        self.norm_eval = norm_eval
        self._frozen: list[nn.Module] = []
        if frozen_stages >= 0:
            self._frozen = [self.stem, *list(self._stages())[:frozen_stages]]
        for part in self._frozen:
            part.requires_grad_(False)

    def _stages(self) -> list[nn.Module]:
        return [getattr(self, f'layer{number}') for number in (1, 2, 3, 4)]

    def train(self, mode: bool = True) -> ResNetV1c:
        """Switch the mode; frozen stages stay in eval, and norms if told so."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map ``[B, 3, H, W]`` to maps ``[B, C_i, H / s_i, W / s_i]``, finest first."""
        x = self.maxpool(self.stem(images))
        maps = []
        for index, stage in enumerate(self._stages()):
            x = stage(x)
            if index in self.out_indices:
                maps.append(x)
        return tuple(maps)


class _Block(BaseModule):
    """Convolutions with norms, added to what comes in."""

    expansion: int
    last_norm: str
    downsample: nn.Module | None

    def __init__(self, norm: dict) -> None:
        super().__init__()
        self.kind = _norm_name(norm)
        self.relu = nn.ReLU(inplace=True)

    def add_layer(self, number: int, conv: nn.Conv2d, norm: dict) -> None:
        """Add a convolution and its norm, under mmseg's names."""
        self.add_module(f'conv{number}', conv)
        self.add_module(f'{self.kind}{number}', build_norm(norm, conv.out_channels))

    def apply_layer(self, number: int, x: Tensor) -> Tensor:
        """Run a convolution and its norm."""
        return self.norm(number)(getattr(self, f'conv{number}')(x))

    def norm(self, number: int) -> nn.Module:
        """Return a norm by its number."""
        return getattr(self, f'{self.kind}{number}')

    def add_input(self, out: Tensor, x: Tensor) -> Tensor:
        """End the block."""
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class BasicBlock(_Block):
    """Two convolutions of 3x3."""

    expansion = 1
    last_norm = 'norm2'

    def __init__(
        self, in_channels: int, width: int, *, stride: int, dilation: int, norm: dict
    ) -> None:
        super().__init__(norm)
        # Made first and added last, as mmseg does: a seed gives the same weights.
        downsample = _make_downsample(in_channels, width, stride, norm)
        first = nn.Conv2d(
            in_channels, width, 3, stride, dilation, dilation=dilation, bias=False
        )
        self.add_layer(1, first, norm)
        self.add_layer(2, nn.Conv2d(width, width, 3, padding=1, bias=False), norm)
        self.downsample = downsample

    @property
    def norm2(self) -> nn.Module:
        """The last norm."""
        return self.norm(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the block's width and stride."""
        out = self.relu(self.apply_layer(1, x))
        return self.add_input(self.apply_layer(2, out), x)


class Bottleneck(_Block):
    """A convolution of 3x3 between two of 1x1, of which the last is four times wide."""

    expansion = 4
    last_norm = 'norm3'

    def __init__(
        self, in_channels: int, width: int, *, stride: int, dilation: int, norm: dict
    ) -> None:
        super().__init__(norm)
        downsample = _make_downsample(in_channels, 4 * width, stride, norm)
        self.add_layer(1, nn.Conv2d(in_channels, width, 1, bias=False), norm)
        middle = nn.Conv2d(
            width, width, 3, stride, dilation, dilation=dilation, bias=False
        )
        self.add_layer(2, middle, norm)
        self.add_layer(3, nn.Conv2d(width, 4 * width, 1, bias=False), norm)
        self.downsample = downsample

    @property
    def norm3(self) -> nn.Module:
        """The last norm."""
        return self.norm(3)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to the block's width and stride."""
        out = self.relu(self.apply_layer(1, x))
        out = self.relu(self.apply_layer(2, out))
        return self.add_input(self.apply_layer(3, out), x)


def _make_downsample(
    in_channels: int, out_channels: int, stride: int, norm: dict
) -> nn.Sequential | None:
    """Build what brings the input of a block to its width and stride."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
        build_norm(norm, out_channels),
    )


def _find_depth(depth: int) -> tuple[type[BasicBlock] | type[Bottleneck], tuple]:
    known = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }
    if depth not in known:
        raise ValueError(f'depth must be one of {tuple(known)}, got {depth}.')
    return known[depth]


def _norm_name(config: Mapping[str, Any]) -> str:
    kind = config.get('type')
    if kind not in NORMS:
        raise ValueError(
            f'norm_cfg.type must be one of {tuple(NORMS)}, got {kind!r}; '
            "type='mmseg.ResNetV1c' takes others."
        )
    return NORMS[kind]


def build_norm(config: Mapping[str, Any], channels: int) -> nn.Module:
    """Build a norm as ``mmcv.cnn.build_norm_layer`` does.

    Raises:
        ValueError: If there is no such norm, or it has no such argument.
    """
    options = dict(config)
    trained = options.pop('requires_grad', True)
    kind = _norm_name(options)
    options.pop('type')
    layer: Any = nn.SyncBatchNorm if config['type'] == 'SyncBN' else nn.BatchNorm2d
    if kind == 'gn':
        layer, options['num_channels'] = nn.GroupNorm, channels
    else:
        options['num_features'] = channels
    try:
        norm = layer(**options)
    except TypeError as error:
        raise ValueError(f'norm_cfg={dict(config)} does not fit: {error}') from error
    return norm.requires_grad_(trained)
