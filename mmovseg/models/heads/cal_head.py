"""Classification anchor learning by queries."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS

from ..layers import TransformerDecoderLayer, sine_position
from ..ops import soft_masks

FORMS = ('paper', 'released')


@MODELS.register_module()
class CALHead(BaseModule):
    """Let anchor queries choose the patches that stand for a proposal.

    K decoder layers update the queries; the output layer turns each into a heatmap
    over the patches, multiplies it with the proposal mask of the same number, and
    pools the patch features with the product. The two forms of the output layer:

    * ``'paper'`` (equation 3): ``softmax(q F / sqrt(D)) * M``, one heatmap.
    * ``'released'``: queries and keys (which carry the position) are projected, and
      each of ``num_heads`` heads pools its own slice of the channels.

    Args:
        embed_channels: D, width of CLIP's shared space.
        num_queries: N, as many as there are proposals.
        num_layers: K, may be 0.
        form: Of the output layer.
        num_heads: Heads of all attentions; in form ``'paper'`` not of the heatmap.
        ffn_channels: Width inside the feed-forward networks of the decoder layers.
        dropout: Probability, in training.
        init_cfg: Not used.

    Raises:
        ValueError: If the form is unknown.

    Example:
        >>> import torch
        >>> head = CALHead(embed_channels=16, num_queries=5).eval()
        >>> embeds, heatmaps = head(torch.rand(1, 16, 2, 3), torch.rand(1, 5, 4, 6))
        >>> embeds.shape, heatmaps.shape
        (torch.Size([1, 5, 16]), torch.Size([1, 5, 2, 3]))

    Source: DeOP, section 4.2; released code for what the paper leaves out.
    """

    def __init__(
        self,
        embed_channels: int,
        num_queries: int = 100,
        *,
        num_layers: int = 1,
        form: str = 'paper',
        num_heads: int = 8,
        ffn_channels: int = 1024,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if form not in FORMS:
            raise ValueError(f'form must be one of {FORMS}, got {form!r}.')
        self.queries = nn.Embedding(num_queries, embed_channels)  # N(0, 1), as released
        self.layers = nn.ModuleList(
            TransformerDecoderLayer(
                embed_channels, num_heads, ffn_channels=ffn_channels, dropout=dropout
            )
            for _ in range(num_layers)
        )
        self.output = HeatmapLayer(
            embed_channels, num_heads, projected=form == 'released', dropout=dropout
        )
        for parameter in (*self.layers.parameters(), *self.output.parameters()):
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)  # as DETR's transformer

    def forward(self, features: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Embed every proposal.

        Args:
            features: Unit vectors at the patches, ``[B, D, h, w]``.
            mask_logits: ``[B, N, h', w']``.

        Returns:
            Embeddings ``[B, N, D]``, not normalized, and heatmaps ``[B, N, h, w]``,
            the mean over heads.

        Raises:
            ValueError: If there are not as many proposals as queries.
        """
        batch, channels, height, width = features.shape
        size = (height, width)
        if mask_logits.shape[1] != self.queries.num_embeddings:
            raise ValueError(
                f'The head has {self.queries.num_embeddings} anchor queries, but there '
                f'are {mask_logits.shape[1]} proposals: set num_queries of both alike.'
            )
        # The patches are values; as keys they also carry their position.
        values = features.flatten(2).transpose(1, 2)  # [B, L, D]
        position = sine_position(size, channels, device=features.device)
        keys = values + position.to(values.dtype)
        query_pos = self.queries.weight.expand(batch, -1, -1)  # [B, N, D]
        target = torch.zeros_like(query_pos)
        # K decoder layers tell the anchor queries what is in the image.
        for layer in self.layers:
            target = layer(target, query_pos, keys, values)
        # Each query chooses patches; those outside of its proposal count less.
        masks = soft_masks(mask_logits, size).flatten(2)  # [B, N, L]
        heatmaps = self.output(target, query_pos, keys, values, masks)
        # Pool the patches by the heatmaps, each head its own slice of the channels.
        slices = values.unflatten(-1, (heatmaps.shape[1], -1)).transpose(1, 2)
        region_embeds = (heatmaps @ slices).transpose(1, 2).flatten(2)  # [B, N, D]
        return region_embeds, heatmaps.mean(1).unflatten(-1, size)


class HeatmapLayer(nn.Module):
    """Self-attention of the queries, then one heatmap per query and head.

    Args:
        channels: D.
        num_heads: Heads of self-attention and, if ``projected``, of the heatmap.
        projected: Whether queries and keys are projected and split into heads.
        dropout: Probability, in attention weights.
    """

    def __init__(
        self, channels: int, num_heads: int, *, projected: bool, dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(
            channels, num_heads, dropout, batch_first=True
        )
        self.norm = nn.LayerNorm(channels)
        self.query_proj = nn.Linear(channels, channels) if projected else None
        self.key_proj = nn.Linear(channels, channels) if projected else None
        self.num_heads = num_heads if projected else 1
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        target: Tensor,
        query_pos: Tensor,
        keys: Tensor,
        values: Tensor,
        masks: Tensor,
    ) -> Tensor:
        """Compute the heatmaps.

        Args:
            target: ``[B, N, D]``.
            query_pos: ``[B, N, D]``.
            keys: Patch features with position, ``[B, L, D]``.
            values: Patch features without, ``[B, L, D]``.
            masks: Probabilities, ``[B, N, L]``.

        Returns:
            ``[B, heads, N, L]``; sums over L are at most 1.
        """
        query = target + query_pos
        update = self.self_attention(query, query, target, need_weights=False)[0]
        query = self.norm(target + self.dropout(update)) + query_pos
        if self.query_proj is None or self.key_proj is None:
            keys = values
        else:
            query, keys = self.query_proj(query), self.key_proj(keys)
        query, keys = (
            x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, keys)
        )  # [B, heads, N or L, c]
        weights = (query @ keys.transpose(-1, -2)) * query.shape[-1] ** -0.5
        return self.dropout(weights.softmax(-1)) * masks.unsqueeze(1)
