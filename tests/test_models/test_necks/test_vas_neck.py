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
