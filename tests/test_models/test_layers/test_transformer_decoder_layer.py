import pytest
import torch
from torch import nn
from torch.export import Dim, export

from mmovseg.models.layers import TransformerDecoderLayer


def test_equals_torch_where_positions_are_zero(seed):
    """Without positions it is torch's post-norm decoder layer."""
    ours = TransformerDecoderLayer(8, 2, ffn_channels=16, dropout=0.1).eval()
    theirs = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True).eval()
    theirs.self_attn.load_state_dict(ours.self_attention.state_dict())
    theirs.multihead_attn.load_state_dict(ours.cross_attention.state_dict())
    theirs.linear1.load_state_dict(ours.ffn[0].state_dict())
    theirs.linear2.load_state_dict(ours.ffn[3].state_dict())
    target, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    found = ours(target, torch.zeros(2, 3, 8), memory, memory)
    torch.testing.assert_close(found, theirs(target, memory))


def test_positions_enter_queries_and_own_keys_but_no_values(seed):
    layer = TransformerDecoderLayer(8, 2, ffn_channels=16, dropout=0.0).eval()
    target, position = torch.zeros(1, 3, 8), torch.randn(1, 3, 8)
    keys, values = torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    own = layer.self_attention(position, position, target)[0]
    expected = layer.norm1(target + own)
    update = layer.cross_attention(expected + position, keys, values)[0]
    expected = layer.norm2(expected + update)
    expected = layer.norm3(expected + layer.ffn(expected))
    torch.testing.assert_close(layer(target, position, keys, values), expected)


class _PatchLayer(nn.Module):
    """Two queries that look at patches of 8 pixels."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.layer = TransformerDecoderLayer(8, 2, ffn_channels=16, dropout=0.0)

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        queries = torch.ones(2, 8).expand(images.shape[0], -1, -1)
        return self.layer(queries, queries, patches, patches)


@pytest.mark.slow
@torch.no_grad()
def test_a_graph_takes_a_single_image(seed):
    module = _PatchLayer().eval()
    lengths = {2: 32 * Dim('rows', min=2), 3: 32 * Dim('columns', min=2)}
    shapes = ({0: Dim('batch'), **lengths},)
    program = export(module, (torch.randn(2, 3, 96, 64),), dynamic_shapes=shapes)
    for batch in (1, 3):
        images = torch.randn(batch, 3, 64, 96)
        torch.testing.assert_close(program.module()(images), module(images))
