"""What the heads for mmseg and mmdet share: neck, decoder, names and loss of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from mmovseg.registry import build_criterion, build_part, takes
from mmovseg.vocabulary import Vocabulary

from ..layers import check_maps
from ..structures import MaskPrediction
from ..targets import collect_targets
from .class_rows import ClassRows
from .part_text import PartText


class MaskHead(BaseModule):
    """Maps of a backbone become masks with class logits.

    Args:
        in_channels: Channels of the maps that the neck takes, finest first.
        decoder: Config of the decoder, such as ``LiteDecoder``.
        criterion: Config of the loss, such as ``MaskSetLoss``.
        classes: The K classes of the annotation.
        neck: Config of what makes mask features of the maps, such as ``VASNeck``; None
            where the first map is them.
        text: Config of a ``TextClassifier``, which compares masks with the names of
            the classes; None learns a row per class instead.
        embed_channels: Width of the learned rows; with ``text`` not used.
        spatial_index: Number of the map that is the spatial branch of the decoder
            (``TDEEHead`` needs one); None for none.
        spatial_stride: Of that map, in pixels.
        init_cfg: MMEngine's initialization config.

    Raises:
        ValueError: If there is no such map, or parts do not fit together.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        decoder: dict,
        *,
        criterion: dict,
        classes: Vocabulary,
        neck: dict | None = None,
        text: dict | None = None,
        embed_channels: int = 256,
        spatial_index: int | None = None,
        spatial_stride: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        in_channels = list(in_channels)
        name = type(self).__name__
        self.names: Any = ClassRows(classes, embed_channels)
        if text is not None:
            self.names = PartText(text, classes)
        spatial: dict[str, int | None] = dict(spatial_channels=None)
        if spatial_index is not None:
            if not -len(in_channels) <= spatial_index < len(in_channels):
                raise ValueError(
                    f'spatial_index of {name} is {spatial_index}, but in_channels has '
                    f'{len(in_channels)} maps.'
                )
            # As the maps of a pyramid are, unless the config says otherwise.
            stride = spatial_stride or 4 * 2 ** (spatial_index % len(in_channels))
            spatial = dict(
                spatial_channels=in_channels[spatial_index], spatial_stride=stride
            )
        self.in_channels, self.spatial_index = in_channels, spatial_index
        self.neck: Any = None
        if neck is not None:
            self.neck = build_part(
                neck, in_channels=in_channels, text_channels=self.names.embed_dims
            )
        self.decoder: Any = build_part(
            decoder, embed_channels=self.names.embed_dims, **spatial
        )
        self._check_widths()
        self.criterion: Any = build_criterion(criterion, name)
        self.num_classes = len(classes)

    def _check_widths(self) -> None:
        """Compare the widths of neck and decoder, as far as they tell them."""
        kernels = getattr(self.decoder, 'object_kernels', None)
        width: Any = self.in_channels[0]
        giver, fix = 'The first map', 'in_channels'
        if self.neck is not None:
            width = getattr(self.neck, 'out_channels', None)
            giver = f'The neck {type(self.neck).__name__}'
            fix = 'out_channels of the neck'
        if kernels is None or width in (None, kernels.embedding_dim):
            return
        raise ValueError(
            f'{giver} of {type(self).__name__} has {width} channels, the decoder '
            f'{type(self.decoder).__name__} has {kernels.embedding_dim}: make channels '
            f'of the decoder and {fix} equal.'
        )

    def segment(self, features: Sequence[Tensor]) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            features: Maps of the backbone, finest first.

        Returns:
            One prediction per stage in training, else the last one alone.

        Raises:
            TypeError: If it is a single map.
            ValueError: If the maps are not those that the config tells of.
        """
        check_maps(self, features, self.in_channels)
        text = self.names()
        if self.neck is None:
            maps: Any = features[0]
        elif takes(self.neck.forward, 'text'):
            maps = self.neck(tuple(features), text=text)
        else:
            maps = self.neck(tuple(features))
        spatial = None
        if self.spatial_index is not None:
            spatial = features[self.spatial_index]
        return self.decoder(maps, spatial, text, all_stages=self.training)

    def compute_losses(
        self, features: Sequence[Tensor], data_samples: Sequence[Any]
    ) -> dict[str, Tensor]:
        """Return the losses of all stages by name, weighted."""
        stages = self.segment(features)
        height, width = stages[-1].mask_logits.shape[-2:]
        # Masks have a quarter of the size of the padded images.
        size = (4 * height, 4 * width)
        meta = data_samples[0].metainfo
        padded = meta.get('batch_input_shape') or meta.get('pad_shape')
        if padded is not None and tuple(padded[:2]) != size:
            raise ValueError(
                f'{type(self).__name__} makes masks of {(height, width)} for images of '
                f'{tuple(padded[:2])}, which is no stride of 4: the first of its maps '
                'has to be the finest of a backbone (out_indices of backbone or neck).'
            )
        targets = collect_targets(data_samples, self.names.train_vocabulary, size)
        return self.criterion(stages, targets)
