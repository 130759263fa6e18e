import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.necks import VASNeck
from mmovseg.models.structures import TextEmbeddings


def maps():
    sizes = ((8, 8), (4, 4), (2, 2), (1, 1))
    channels = (4, 8, 12, 16)
    return tuple(torch.randn(1, c, *s) for c, s in zip(channels, sizes, strict=True))


@torch.no_grad()
def test_selection_scales_the_aggregated_map(seed):
    neck = VASNeck((4, 8, 12, 16), 6, hidden_channels=5, out_channels=7).eval()
    weight = F.normalize(torch.randn(3, 6), dim=-1)
    text = TextEmbeddings(weight, torch.arange(3), 2)
    features = maps()
    fused = neck.aggregator(features)
    expected = fused * neck.selection.attention(fused, weight)
    selected = neck(features, text)
    torch.testing.assert_close(selected, expected)
    # One copy on the way would cost what the layout gains.
    assert selected.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match='TextEmbeddings'):
        neck(features)


@torch.no_grad()
def test_without_text_channels_it_is_a_plain_neck(seed):
    neck = VASNeck((4, 8, 12, 16), hidden_channels=5, out_channels=7).eval()
    features = maps()
    torch.testing.assert_close(neck(features), neck.aggregator(features))


@torch.no_grad()
def test_levels_are_the_coarsest_maps_of_the_top_down_path(seed):
    neck = VASNeck((4, 8, 12, 16), hidden_channels=5, out_channels=7, num_levels=2)
    features = maps()
    fused, coarse, fine = neck.eval()(features)
    torch.testing.assert_close(fused, neck.aggregator(features))
    aggregator = neck.aggregator
    y5 = aggregator.laterals[3](features[3])
    y4 = aggregator.laterals[2](features[2]) + aggregator.upsamples[2](y5)
    torch.testing.assert_close(coarse, neck.levels[0](y5))
    torch.testing.assert_close(fine, neck.levels[1](y4))
    assert coarse.shape == (1, 7, 1, 1)
    assert fine.shape == (1, 7, 2, 2)


@pytest.mark.parametrize('num_levels', [-1, 4])
def test_a_wrong_number_of_levels_is_refused(num_levels):
    with pytest.raises(ValueError, match=rf'\[0, 3\], got {num_levels}'):
        VASNeck((4, 8, 12, 16), num_levels=num_levels)
