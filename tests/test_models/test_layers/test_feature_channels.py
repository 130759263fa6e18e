import pytest
import torch
from torch import nn

from mmovseg.models.layers import measure_channels


class Backbone(nn.Module):
    def __init__(self, strides, widths=(3, 6, 9, 12)):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, width, 1, stride), nn.BatchNorm2d(width))
            for stride, width in zip(strides, widths, strict=True)
        )

    def forward(self, images):
        return tuple(level(images) for level in self.levels)


@pytest.mark.parametrize('training', [True, False])
def test_channels_are_measured_and_nothing_changes(training):
    backbone = Backbone((4, 8, 16, 32)).train(training)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert measure_channels(backbone) == (3, 6, 9, 12)
    assert backbone.training == backbone.levels[0].training == training
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize('strides', [(4, 8, 16), (8, 16, 32, 64), (4, 8, 8, 8)])
def test_other_strides_are_refused(strides):
    backbone = Backbone(strides, (3,) * len(strides))
    with pytest.raises(ValueError, match=r'Backbone has maps of strides .*out_indices'):
        measure_channels(backbone)
