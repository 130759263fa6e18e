import torch
import torch.nn.functional as F

from mmovseg.models.layers import FPNPixelDecoder


def maps(widths, sizes=((12, 20), (6, 10), (3, 5), (2, 3))):
    return [
        torch.randn(2, width, *size) for width, size in zip(widths, sizes, strict=True)
    ]


@torch.no_grad()
def test_equals_a_fpn_written_out(seed):
    """Sizes are not multiples of each other: a map is enlarged to its lateral's."""
    widths = (8, 16, 24, 40)
    decoder = FPNPixelDecoder(widths, 32)
    features = maps(widths)

    def conv(x, part, padding=0):
        x = F.conv2d(x, part[0].weight, padding=padding)
        return F.group_norm(x, 32, part[1].weight, part[1].bias)

    for part in (*decoder.laterals, *decoder.outputs):
        part[1].weight.normal_()
        part[1].bias.normal_()
    x = conv(features[3], decoder.outputs[3], 1).clamp(min=0)
    for level in (2, 1, 0):
        lateral = conv(features[level], decoder.laterals[level])
        height, width = lateral.shape[-2:]
        rows = torch.arange(height) * x.shape[-2] // height
        columns = torch.arange(width) * x.shape[-1] // width
        x = lateral + x[..., rows[:, None], columns]
        x = conv(x, decoder.outputs[level], 1).clamp(min=0)
    last = decoder.mask_features
    expected = F.conv2d(x, last.weight, last.bias, padding=1)
    torch.testing.assert_close(decoder(features), expected)


def test_parameters_of_the_released_size():
    decoder = FPNPixelDecoder((256, 512, 1024, 2048), 256)
    assert sum(p.numel() for p in decoder.parameters()) == 7540480


def test_initial_weights_are_bounded_by_the_fan_in(seed):
    decoder = FPNPixelDecoder((8, 16, 24, 40), 32)
    for conv, fan in (
        (decoder.laterals[2][0], 24),
        (decoder.outputs[3][0], 360),
        (decoder.mask_features, 288),
    ):
        bound = (3 / fan) ** 0.5
        assert 0.9 * bound < conv.weight.abs().max() <= bound
    assert not decoder.mask_features.bias.any()
