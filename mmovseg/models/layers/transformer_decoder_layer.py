"""Decoder layer of DETR."""

from __future__ import annotations

from torch import Tensor, nn

from ..ops import cross_attention


class TransformerDecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward network, each post-normed.

    Args:
        channels: C, width of queries, keys and values.
        num_heads: Heads of both attentions.
        ffn_channels: Width inside the feed-forward network.
        dropout: Probability, in attention weights and after each of the three parts.

    Source: DETR (arXiv 2005.12872), ReLU and post-norm.
    """

    def __init__(
        self, channels: int, num_heads: int, *, ffn_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(
            channels, num_heads, dropout, batch_first=True
        )
        self.cross_attention = nn.MultiheadAttention(
            channels, num_heads, dropout, batch_first=True
        )
        self.ffn = nn.Sequential(
            nn.Linear(channels, ffn_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(ffn_channels, channels),
        )
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.norm3 = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, target: Tensor, query_pos: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        """Update the queries.

        Args:
            target: ``[B, N, C]``.
            query_pos: Added to the queries of both attentions and to the keys of
                self-attention, ``[B, N, C]``.
            keys: Of cross-attention, position included, ``[B, L, C]``.
            values: Of cross-attention, ``[B, L, C]``.

        Returns:
            ``[B, N, C]``.
        """
        # Weights are not used, but without them torch takes fused kernels that round
        # otherwise. Crops of SimBaseline depend on single pixels of a mask, and only
        # with the plain ones masks equal those of the released code to the last bit.
        query = target + query_pos
        update = self.self_attention(query, query, target)[0]
        target = self.norm1(target + self.dropout(update))
        query = target + query_pos
        update = cross_attention(query, keys, values, self.cross_attention)
        target = self.norm2(target + self.dropout(update))
        return self.norm3(target + self.dropout(self.ffn(target)))
