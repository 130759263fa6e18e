import torch

from mmovseg.models.necks.vas_neck import LiteAggregator


def test_initialization_leaves_no_zero_matrix_but_zero_offset_biases(seed):
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
