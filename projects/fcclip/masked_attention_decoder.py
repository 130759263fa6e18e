"""The decoder of Mask2Former with an open vocabulary."""

from __future__ import annotations

from typing import Any

from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.registry import MODELS


@MODELS.register_module()
class MaskedAttentionDecoder(BaseModule):
    """Turn queries into masks, and masks into embeddings in CLIP's text space.

    The queries and masks are those of ``mmdet.Mask2FormerHead``, without its pixel
    decoder and classifier. It needs mmcv with compiled ops.

    Args:
        transformer: Config of the head, as in mmdet's model files, without pixel
            decoder and ``in_channels``.
        head: Config of the region embedding head, which all stages share.
        embed_channels: Width D of the text embeddings.
        spatial_channels: None; there is no spatial branch.
        channels: Width C of mask features, levels and queries.
        num_queries: Number N of queries.
        num_levels: Number of levels that the layers attend to in turns.
        init_cfg: MMEngine's initialisation config.

    Raises:
        ValueError: If there are spatial features, which would be lost.

    Source: FC-CLIP (arXiv 2308.02487), section 3.3.
    """

    def __init__(
        self,
        transformer: dict,
        head: dict,
        *,
        embed_channels: int,
        spatial_channels: int | None = None,
        channels: int = 256,
        num_queries: int = 250,
        num_levels: int = 3,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if spatial_channels is not None:
            raise ValueError(
                f'FC-CLIP has no spatial branch, got one of {spatial_channels} '
                'channels: give the model spatial_backbone=None.'
            )
        levels = dict(layer_cfg=dict(self_attn_cfg=dict(num_levels=num_levels)))
        config = dict(
            in_channels=[channels] * num_levels,
            feat_channels=channels,
            out_channels=channels,
            num_queries=num_queries,
            num_transformer_feat_level=num_levels,
            num_things_classes=1,  # not used: the classifier is taken out
            num_stuff_classes=0,
            pixel_decoder=dict(type='mmovseg.GivenPixels', encoder=levels),
            _scope_='mmdet',
        )
        # A ConfigDict, since mmdet reads nested dicts as attributes.
        self.transformer = MODELS.build(ConfigDict(config | transformer))
        # The head then returns its normed queries in place of class logits.
        self.transformer.cls_embed = nn.Identity()
        widths = dict(channels=channels, embed_channels=embed_channels)
        self.head = MODELS.build(head, default_args=widths)

    def forward(
        self,
        pixels: tuple[Tensor, ...],
        spatial: None,
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            pixels: Mask features of stride 4, ``[B, C, h, w]``, then the levels.
            spatial: None; decoders are called alike.
            text: The vocabulary.
            all_stages: False classifies the last stage only, as inference needs.

        Returns:
            One prediction before the first layer and one per layer, or the last
            alone; best last.
        """
        mask_features, *levels = pixels
        # Older mmdet counts the images by their data samples.
        samples = [BaseDataElement()] * len(mask_features)
        stages = list(
            zip(*self.transformer((mask_features, levels), samples), strict=True)
        )
        # CLIP's bound on the factor of the cosine.
        scale = self.head.logit_scale.exp().clamp(max=100)
        predictions = []
        for queries, mask_logits in stages if all_stages else stages[-1:]:
            regions = self.head(mask_features, spatial, mask_logits, queries)
            class_logits = text.logits(regions, scale)
            predictions.append(MaskPrediction(class_logits, mask_logits))
        return predictions


@MODELS.register_module()
class GivenPixels(BaseModule):
    """Stands for a pixel decoder whose output is the input already."""

    def __init__(self, encoder: dict, **_: Any) -> None:
        super().__init__()

    def forward(self, pixels: tuple[Tensor, list[Tensor]]) -> tuple:
        """Return mask features and levels as they are."""
        return pixels
