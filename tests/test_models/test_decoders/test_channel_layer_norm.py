import torch
from torch import nn

from mmovseg.models.decoders.lite_decoder import ChannelLayerNorm


def test_normalizes_each_position_over_channels(seed):
    layer = ChannelLayerNorm(8)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, 8, 3, 4)
    mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = (x - mean) / (var + 1e-6).sqrt()
    expected = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected)


def test_weight_decay_by_norm_class_does_not_skip_it():
    assert not isinstance(ChannelLayerNorm(4), nn.LayerNorm)
