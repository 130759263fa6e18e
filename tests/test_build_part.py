"""A part gets of what a model knows just that which its constructor names."""

import pytest
from mmengine.registry import DefaultScope
from torch import nn

from mmovseg.registry import MODELS, build_criterion, build_part


@MODELS.register_module(force=True)
class TakesChannels(nn.Module):
    """Names one of two arguments."""

    def __init__(self, in_channels):
        super().__init__()
        self.in_channels = in_channels


@pytest.mark.parametrize(
    'kind',
    [
        dict(type='TakesChannels'),
        dict(type='mmovseg.TakesChannels'),
        dict(type='TakesChannels', _scope_='mmovseg'),
        dict(type=TakesChannels),
    ],
)
def test_only_what_is_named_is_given(kind):
    with DefaultScope.overwrite_default_scope('mmengine'):
        part = build_part(kind, in_channels=[3], text_channels=7)
    assert part.in_channels == [3]
    assert build_part(dict(kind, in_channels=[4]), in_channels=[3]).in_channels == [4]


def test_a_scope_beside_the_type_is_where_it_is_looked_up():
    neck = dict(type='FPN', _scope_='mmseg', out_channels=8, num_outs=4)
    part = build_part(neck, in_channels=[4, 4, 4, 4], text_channels=7)
    assert type(part).__module__.startswith('mmseg.')


def test_losses_of_tensors_are_refused_with_the_owner():
    with pytest.raises(
        ValueError, match=r'L1Loss of torch compares .*; Owner needs one'
    ):
        build_criterion(dict(type=nn.L1Loss), 'Owner')
