import copy

import torch
from torch import nn
from torch.nn import functional as F

from mmovseg.models.layers.folding import fold_norm, fold_norms, is_inference


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


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, bias=False), make_norm(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 4, 1), make_norm(4)
        self.rest = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 5, 1), make_norm(5))
        # A norm that stands behind no convolution.
        self.alone = nn.Sequential(nn.ReLU(), make_norm(5))

    def forward(self, x):
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return self.alone(self.rest(x))


@torch.no_grad()
def test_a_copy_without_norms_gives_the_same(seed):
    block, x = _Block().eval(), torch.randn(2, 3, 8, 8)
    before = copy.deepcopy(block.state_dict())
    folded = fold_norms(block)
    torch.testing.assert_close(folded(x), block(x))
    norms = [y for y in folded.modules() if isinstance(y, nn.BatchNorm2d)]
    assert norms == [folded.alone[1]]
    after = block.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_neither_training_nor_gradients_nor_graphs_are_inference(monkeypatch):
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        assert not is_inference(layer)
        assert is_inference(layer.eval())
        with monkeypatch.context() as graph:
            graph.setattr(torch.compiler, 'is_compiling', lambda: True)
            assert not is_inference(layer)
    assert not is_inference(layer)
