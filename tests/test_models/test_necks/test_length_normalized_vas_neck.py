import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.necks import LengthNormalizedVASNeck, VASNeck
from mmovseg.models.structures import TextEmbeddings

SIZES = dict(hidden_channels=5, out_channels=7)
CHANNELS = (4, 8, 12, 16)


def names(rows):
    return TextEmbeddings(rows, torch.arange(len(rows)), len(rows) - 1)


@torch.no_grad()
def test_features_do_not_fade_as_the_list_grows(seed):
    paper = VASNeck(CHANNELS, 6, **SIZES).eval()
    paper.selection.offset.fill_(-0.02)
    neck = LengthNormalizedVASNeck(CHANNELS, 6, num_names=3, **SIZES).eval()
    neck.load_state_dict(paper.state_dict())
    sizes = (8, 4, 2, 1)
    maps = tuple(torch.randn(1, c, s, s) for c, s in zip(CHANNELS, sizes, strict=True))
    rows = F.normalize(torch.randn(3, 6), dim=-1)
    expected = paper(maps, names(rows))
    torch.testing.assert_close(neck(maps, names(rows)), expected)
    # The same names many times: each has a smaller share, and features stay.
    long = rows.repeat(50, 1)
    torch.testing.assert_close(neck(maps, names(long)), expected)
    assert paper(maps, names(long)).abs().mean() < 0.2 * expected.abs().mean()


def test_without_names_and_wrong_numbers(seed):
    neck = LengthNormalizedVASNeck(CHANNELS, None, num_names=3, **SIZES)
    assert neck.selection is None
    neck = LengthNormalizedVASNeck(CHANNELS, 6, num_names=3, **SIZES)
    with pytest.raises(ValueError, match='TextEmbeddings'):
        neck.select(torch.zeros(1, 7, 2, 2), None)
    for bad in (0, 2.5, float('nan')):
        with pytest.raises(ValueError, match=r'num_names must be .* whole number, got'):
            LengthNormalizedVASNeck(CHANNELS, 6, num_names=bad, **SIZES)
