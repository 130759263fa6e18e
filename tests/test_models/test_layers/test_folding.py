import torch
from torch import nn
from torch.nn import functional as F

from mmovseg.models.layers.folding import fold_norm, is_inference


def make_norm(channels):
    norm = nn.BatchNorm2d(channels).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


@torch.no_grad()
def test_a_folded_norm_is_the_norm(seed):
    x, norm = torch.randn(2, 3, 5, 4), make_norm(6)
    conv = nn.Conv2d(3, 6, 3, bias=False)
    expected = norm(conv(x))
    torch.testing.assert_close(F.conv2d(x, *fold_norm(conv.weight, norm)), expected)
    conv = nn.ConvTranspose2d(3, 6, 2, bias=False)
    weight, bias = fold_norm(conv.weight, norm, transposed=True)
    torch.testing.assert_close(F.conv_transpose2d(x, weight, bias), norm(conv(x)))


def test_neither_training_nor_gradients_nor_graphs_are_inference(monkeypatch):
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        assert not is_inference(layer)
        assert is_inference(layer.eval())
        with monkeypatch.context() as graph:
            graph.setattr(torch.compiler, 'is_compiling', lambda: True)
            assert not is_inference(layer)
    assert not is_inference(layer)
