import pytest
import torch

from mmovseg.models.layers import LiteAggregator


@torch.no_grad()
@pytest.mark.parametrize('in_graph', [False, True])
def test_coordinates_run_from_minus_one_to_one_x_first(monkeypatch, in_graph):
    if in_graph:
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
        monkeypatch.setattr(torch, 'linspace', None)
    layer = LiteAggregator((2, 2, 2, 2), 1, 2)
    # The first channel of the result is x and nothing else, the second is y.
    layer.out.weight.data = torch.tensor([[0.0, 1, 0], [0, 0, 1]])[..., None, None]
    layer.out.bias.data.zero_()
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3))
    x, y = layer(tuple(torch.randn(1, 2, *size) for size in sizes))[0]
    assert x[:, 0].tolist() == [-1] * 16
    assert x[:, -1].tolist() == [1] * 16
    assert y[0].tolist() == [-1] * 24
    assert y[-1].tolist() == [1] * 24
    assert x[3].diff().tolist() == pytest.approx([2 / 23] * 23, rel=1e-5)
    assert y[:, 3].diff().tolist() == pytest.approx([2 / 15] * 15, rel=1e-5)


@pytest.mark.parametrize('in_graph', [False, True])
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_coordinates_in_half_precision_are_those_of_float32(
    monkeypatch, in_graph, dtype
):
    exact = LiteAggregator._coordinates(torch.zeros(1, 1, 2, 601))
    if in_graph:
        monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    got = LiteAggregator._coordinates(torch.zeros(1, 1, 2, 601, dtype=dtype))
    rounding = torch.finfo(dtype).eps / 2
    for axis, expected in zip(got, exact, strict=True):
        assert axis.dtype == dtype
        torch.testing.assert_close(axis.float(), expected, atol=rounding, rtol=0)


def test_initialisation_leaves_no_zero_matrix_but_zero_offset_biases(seed):
    layer = LiteAggregator((4, 8, 12, 16), 6, 10)
    assert all((p != 0).all() for p in layer.parameters() if p.dim() > 1)
    assert all((up.offset.bias == 0).all() for up in layer.upsamples)


@torch.no_grad()
def test_coarse_levels_reach_the_result_through_both_paths(seed):
    layer = LiteAggregator((4, 8, 12, 16), 6, 10).eval()
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3))
    maps = [torch.randn(1, c, *s) for c, s in zip((4, 8, 12, 16), sizes, strict=True)]
    out = layer(tuple(maps))
    assert out.shape == (1, 10, 16, 24)
    for projection in layer.projections[1:]:
        projection.weight.zero_()
    top_down_only = layer(tuple(maps))
    maps[-1] = maps[-1] + 1
    assert not torch.allclose(layer(tuple(maps)), top_down_only)
