"""The decoder of Mask2Former with an open vocabulary, as in FC-CLIP."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers.sine_position import sine_position
from ..ops import make_masks, masked_attention, resize_masks, resized_masks
from ..structures import MaskPrediction, TextEmbeddings


@MODELS.register_module()
class MaskedAttentionDecoder(BaseModule):
    """Refine learned queries into masks, and embed the masks in CLIP's text space.

    A query attends only to the inside of the mask that it predicted before. The layers
    read the levels in turns, coarsest first.

    Args:
        head: Config of the region head, which all predictions share.
        embed_channels: Width D of the text embeddings.
        channels: Width C of mask features, levels and queries.
        num_queries: Number N of queries.
        num_layers: Decoder layers.
        num_levels: Levels of the pixel decoder.
        num_heads: Heads of both attentions.
        ffn_channels: Width inside the feed-forward networks.
        init_cfg: MMEngine's initialization config.

    Source: Mask2Former (arXiv 2112.01527), section 3.2; FC-CLIP (arXiv 2308.02487),
    section 3.3.
    """

    def __init__(
        self,
        head: dict,
        *,
        embed_channels: int,
        channels: int = 256,
        num_queries: int = 250,
        num_layers: int = 9,
        num_levels: int = 3,
        num_heads: int = 8,
        ffn_channels: int = 2048,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.channels = channels
        self.query_feat = nn.Embedding(num_queries, channels)
        self.query_embed = nn.Embedding(num_queries, channels)
        self.level_embed = nn.Embedding(num_levels, channels)
        self.layers = nn.ModuleList(
            MaskedAttentionLayer(channels, num_heads, ffn_channels)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(channels)
        self.mask_embed = nn.Sequential(
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
        )
        widths = dict(channels=channels, embed_channels=embed_channels)
        self.head = MODELS.build(head, default_args=widths)
        for module in self.head.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()  # PyTorch's distribution, not EOV-Seg's

    def forward(
        self,
        mask_features: Tensor,
        levels: list[Tensor],
        text: TextEmbeddings,
        *,
        all_stages: bool = True,
    ) -> list[MaskPrediction]:
        """Predict masks and class logits.

        Args:
            mask_features: Stride 4, ``[B, C, h, w]``.
            levels: What the layers attend to, ``[B, C, h_l, w_l]``, coarsest first.
            text: The vocabulary.
            all_stages: False makes the last prediction only, as inference needs.

        Returns:
            One prediction before the first layer and one per layer, or the last
            alone; best last.

        Raises:
            ValueError: If there is another number of levels.
        """
        if len(levels) != len(self.level_embed.weight):
            raise ValueError(
                f'The neck makes {len(levels)} levels, the decoder was built for '
                f'{len(self.level_embed.weight)}: set decoder.num_levels.'
            )
        # 1. What the layers read: tokens of each level, and the same with positions.
        sizes = [(x.shape[-2], x.shape[-1]) for x in levels]
        values = [
            x.flatten(2).transpose(1, 2) + embedding
            for x, embedding in zip(levels, self.level_embed.weight, strict=True)
        ]
        keys = [
            x + sine_position(size, self.channels, device=x.device).to(x.dtype)
            for x, size in zip(values, sizes, strict=True)
        ]
        # 2. Every image starts from the same queries.
        batch = len(mask_features)
        queries = self.query_feat.weight.expand(batch, -1, -1)
        query_pos = self.query_embed.weight.expand(batch, -1, -1)
        predictions = []
        for index, layer in enumerate(self.layers):
            level = index % len(levels)
            # 3. The masks predicted so far, at the size of the level that comes next.
            if all_stages:
                predictions.append(self._predict(queries, mask_features, text))
                masks = predictions[-1].mask_logits.detach()
                masks = resize_masks(masks, sizes[level])
            else:
                kernels = self.mask_embed(self.norm(queries))
                masks = resized_masks(kernels, mask_features, sizes[level])
            # 4. Attend inside the masks, then among the queries.
            queries = layer(queries, query_pos, keys[level], values[level], masks)
        predictions.append(self._predict(queries, mask_features, text))
        return predictions

    def _predict(
        self, queries: Tensor, mask_features: Tensor, text: TextEmbeddings
    ) -> MaskPrediction:
        """Turn queries into masks and class logits."""
        queries = self.norm(queries)
        mask_logits = make_masks(self.mask_embed(queries), mask_features)
        region_embeds = self.head(mask_features, None, mask_logits, queries)
        # CLIP's bound on the factor of the cosine.
        scale = self.head.logit_scale.exp().clamp(max=100)
        return MaskPrediction(text.logits(region_embeds, scale), mask_logits)


class MaskedAttentionLayer(nn.Module):
    """Masked cross-attention, self-attention and a feed-forward network, post-norm.

    Args:
        channels: Width C of the queries.
        num_heads: Heads of both attentions.
        ffn_channels: Width inside the feed-forward network.

    Source: Mask2Former (arXiv 2112.01527), section 3.2.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int) -> None:
        super().__init__()
        self.cross_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.self_attention = nn.MultiheadAttention(
            channels, num_heads, batch_first=True
        )
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.ReLU(inplace=True),
            nn.Linear(ffn_channels, channels),
        )
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        for linear in (self.ffn[0], self.ffn[2]):
            nn.init.xavier_uniform_(linear.weight)  # type: ignore[arg-type]
        for attention in (self.cross_attention, self.self_attention):
            nn.init.xavier_uniform_(attention.out_proj.weight)

    def forward(
        self,
        queries: Tensor,
        query_pos: Tensor,
        keys: Tensor,
        values: Tensor,
        mask_logits: Tensor,
    ) -> Tensor:
        """Update the queries.

        Args:
            queries: ``[B, N, C]``.
            query_pos: Added to queries, and to the keys among them, ``[B, N, C]``.
            keys: Tokens of a level with their positions, ``[B, L, C]``.
            values: The tokens without positions, ``[B, L, C]``.
            mask_logits: Masks at the size of the level, ``[B, N, h, w]``.

        Returns:
            ``[B, N, C]``.
        """
        inside = mask_logits.flatten(2).sigmoid() >= 0.5
        # A query whose mask is empty attends everywhere.
        inside = inside | ~inside.any(-1, keepdim=True)
        query = queries + query_pos
        update = masked_attention(query, keys, values, self.cross_attention, inside)
        queries = self.norm1(queries + update)
        query = queries + query_pos
        update = masked_attention(query, query, queries, self.self_attention)
        queries = self.norm2(queries + update)
        return self.norm3(queries + self.ffn(queries))
