import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.structures import TextEmbeddings


@pytest.mark.parametrize('num_classes', [None, 2])
def test_logits_take_the_best_synonym(num_classes):
    ids = torch.tensor([0, 0, 1, 2])
    text = TextEmbeddings(torch.eye(4), ids, num_classes)
    x = torch.tensor([[3.0, 4.0, 0.0, 0.0]])  # cosines .6 .8 0 0; last row is void
    logits = text.logits(x, scale=torch.tensor(10.0))
    torch.testing.assert_close(logits, torch.tensor([[8.0, 0.0, 0.0]]))


def test_logits_equal_a_loop_over_classes_also_when_all_are_negative(seed):
    weight = F.normalize(torch.randn(9, 5), dim=-1)
    ids = torch.tensor([0, 1, 1, 1, 2, 3, 3, 3, 4])
    x = torch.randn(2, 6, 5)
    x[0, 0] = -weight[4]
    scores = 7 * F.normalize(x, dim=-1) @ weight.T
    expected = torch.stack([scores[..., ids == k].amax(-1) for k in range(5)], -1)
    torch.testing.assert_close(TextEmbeddings(weight, ids, 4).logits(x, 7.0), expected)
    assert expected[0, 0, 2] < -6.9


def test_half_precision_gives_an_empty_region_zero_logits():
    text = TextEmbeddings(torch.eye(3), torch.tensor([0, 1, 2]))
    logits = text.logits(torch.zeros(2, 3, dtype=torch.float16), scale=100.0)
    assert torch.equal(logits, torch.zeros(2, 3))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_leaves_logits_alone(seed, dtype):
    rows = F.normalize(torch.randn(5, 16), dim=-1)
    text = TextEmbeddings(rows, torch.tensor([0, 0, 1, 2, 3]), 3)
    regions = torch.randn(2, 4, 16)
    expected = text.logits(regions, 100.0)
    with torch.autocast('cpu', dtype):
        got = text.logits(regions, 100.0)
    assert torch.equal(got, expected)  # half precision would be off by up to 0.25
