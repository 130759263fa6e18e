"""Blocks of every library, severed, with the same weights and so the same numbers."""

import pytest
import torch
from torch import nn

from mmovseg.models.layers import PatchSeveranceLayer, find_blocks, run_severed
from mmovseg.models.layers.vit_blocks import read_block

CHANNELS, HEADS = 16, 2


def open_clip_block():
    from open_clip.transformer import ResidualAttentionBlock

    return ResidualAttentionBlock(CHANNELS, HEADS)


def open_clip_custom_block():
    from open_clip.transformer import CustomResidualAttentionBlock

    return CustomResidualAttentionBlock(CHANNELS, HEADS, qk_norm=True)


def timm_block():
    from timm.models.vision_transformer import Block

    return Block(CHANNELS, HEADS, qkv_bias=True, init_values=0.5, drop_path=0.1)


def timm_block_with_norms():
    from timm.models.vision_transformer import Block

    return Block(CHANNELS, HEADS, qk_norm=True, scale_attn_norm=True)


def mmseg_block():
    # Of mmcv, as in mmseg's ViT, whose module would import all of mmseg.
    from mmcv.cnn.bricks.transformer import FFN, MultiheadAttention

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(CHANNELS), nn.LayerNorm(CHANNELS)
            self.attn = MultiheadAttention(CHANNELS, HEADS, batch_first=True)
            self.ffn = FFN(CHANNELS, 4 * CHANNELS)

        norm1 = property(lambda self: self.ln1)
        norm2 = property(lambda self: self.ln2)

        def forward(self, x):
            x = self.attn(self.norm1(x), identity=x)
            return self.ffn(self.norm2(x), identity=x)

    return Block()


def mmpretrain_block():
    pytest.importorskip('mmpretrain', reason='needs mmpretrain')
    from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer

    return TransformerEncoderLayer(CHANNELS, HEADS, 64, layer_scale_init_value=0.5)


MAKERS = [
    open_clip_block,
    open_clip_custom_block,
    timm_block,
    timm_block_with_norms,
    mmseg_block,
    mmpretrain_block,
]


def make(maker):
    block = maker().eval()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block


@torch.no_grad()
@pytest.mark.parametrize('maker', MAKERS)
def test_without_severance_a_block_is_itself(seed, maker):
    block, tokens = make(maker), torch.randn(2, 7, CHANNELS)
    layer = PatchSeveranceLayer(alpha=1e-9)  # runs the severed way, all but equal
    torch.testing.assert_close(
        run_severed(block, layer, tokens), block(tokens), rtol=1e-4, atol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize('maker', MAKERS)
def test_fully_severed_tokens_are_what_each_is_alone(seed, maker):
    """A token alone in its sequence attends to nothing but itself."""
    block, tokens = make(maker), torch.randn(2, 7, CHANNELS)
    alone = torch.stack([block(x[:, None]) for x in tokens.unbind(1)], 2)[:, 0]
    severed = run_severed(block, PatchSeveranceLayer(alpha=1.0), tokens)
    torch.testing.assert_close(severed, alone, rtol=1e-4, atol=1e-4)


def test_what_is_no_block_of_these_libraries_is_named():
    assert read_block(nn.TransformerEncoderLayer(16, 2)) is None
    with pytest.raises(TypeError, match='Sequential has 0 lists of transformer blocks'):
        find_blocks(nn.Sequential(nn.Linear(2, 2)))


def test_attention_with_what_nobody_severs_is_refused():
    block = open_clip_custom_block()
    block.attn.head_scale = nn.Parameter(torch.ones(HEADS, 1, 1))
    with pytest.raises(TypeError, match="Attention has 'head_scale'"):
        run_severed(block, PatchSeveranceLayer(), torch.randn(1, 3, CHANNELS))
