from importlib import import_module

import pytest
import torch

from mmovseg.models import ops
from mmovseg.models.ops import BestClass

module = import_module('mmovseg.models.ops.best_class')


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('std', [0.0, 0.1, 4.0])  # 0: all classes tie
def test_the_plain_form_agrees(dtype, std, seed, monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', 4)
    logits = (std * torch.randn(6, 21)).to(dtype)
    logits[3:, -1] += 9  # void
    scores = logits.softmax(-1)[:, :-1].T.contiguous()
    masks = (9 * torch.randn(6, 64)).sigmoid().to(dtype)
    best_class = BestClass(scores)
    labels = best_class(masks)
    assert best_class.blocks is not None
    with ops.plain():
        plain = BestClass(scores)
        assert torch.equal(plain(masks), (scores @ masks).argmax(0))
    assert plain.blocks is None
    assert torch.equal(labels, plain(masks))
    if not std:
        assert not labels.any()


def test_pixels_that_are_no_number_are_decided_by_all_classes(monkeypatch):
    monkeypatch.setattr(module, 'BLOCK', 2)
    masks = torch.tensor([[torch.nan, 1.0]])
    assert BestClass(torch.rand(8, 1))(masks).max() < 8
