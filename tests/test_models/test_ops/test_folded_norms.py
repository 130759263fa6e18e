import copy
import pickle

import torch
from torch import nn

from mmovseg.models import ops
from mmovseg.models.ops import FoldedNorms, fold_norms


def make_norm(channels):
    norm = nn.BatchNorm2d(channels).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


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


def test_neither_training_nor_gradients_nor_graphs_nor_plain_code_is_folded(
    monkeypatch, seed
):
    block, folded, x = _Block().eval(), FoldedNorms(without=['alone']), torch.zeros(1)
    assert folded.of(block, x) is block
    with torch.no_grad():
        copied = folded.of(block, x)
        assert copied is not block and not hasattr(copied, 'alone')
        assert hasattr(block, 'alone')
        assert folded.of(block, x) is copied
        with ops.plain():
            assert folded.of(block, x) is block
        assert folded.of(block.train(), x) is block
        block.eval().conv1.weight.mul_(2)
        assert folded.of(block, x) is not copied
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
        assert folded.of(block, x) is block


@torch.no_grad()
def test_a_copied_or_pickled_model_takes_no_folded_copy_along(seed):
    block, folded = _Block().eval(), FoldedNorms()
    folded.of(block, torch.zeros(1))
    for other in (copy.deepcopy(folded), pickle.loads(pickle.dumps(folded))):
        assert vars(other) == dict(without=())
        assert other.of(block, torch.zeros(1)) is not block
