import pytest
import torch

from mmovseg.models import MSDeformPixelDecoder


@pytest.fixture
def decoder(seed):
    return MSDeformPixelDecoder(
        [4, 6, 8, 10], channels=32, num_layers=2, num_heads=4, ffn_channels=16
    ).eval()


def make_maps(batch=1, height=16, width=24):
    return [
        torch.randn(batch, channels, height >> level, width >> level)
        for level, channels in enumerate([4, 6, 8, 10])
    ]


@torch.no_grad()
def test_mask_features_come_first_then_levels_coarsest_first(decoder):
    found = decoder(make_maps(2))
    sizes = [(2, 32, 16, 24), (2, 32, 2, 3), (2, 32, 4, 6), (2, 32, 8, 12)]
    assert [x.shape for x in found] == sizes


@torch.no_grad()
def test_a_batch_equals_its_images(decoder):
    maps = make_maps(2)
    whole = decoder(maps)
    for image in range(2):
        alone = decoder([x[image : image + 1] for x in maps])
        for a, b in zip(whole, alone, strict=True):
            torch.testing.assert_close(a[image : image + 1], b, atol=1e-5, rtol=1e-5)


def test_heads_look_in_eight_directions_at_first(seed):
    layer = MSDeformPixelDecoder([4, 6], channels=32, num_layers=1).layers[0]
    offsets = layer.sampling_offsets.bias.unflatten(0, (8, 1, 4, 2))
    torch.testing.assert_close(offsets[0, 0, 2], torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(offsets[1, 0, 1], torch.tensor([2.0, 2.0]))
    torch.testing.assert_close(
        offsets[6, 0, 0], torch.tensor([0.0, -1.0]), atol=1e-6, rtol=0
    )
    assert not layer.sampling_offsets.weight.any()


def test_everything_learns(decoder):
    for layer in decoder.layers:  # zero at first, so that positions have no effect
        torch.nn.init.normal_(layer.sampling_offsets.weight, std=0.1)
    sum(x.square().mean() for x in decoder(make_maps())).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_float32_under_autocast(decoder):
    with torch.autocast('cpu', torch.bfloat16):
        assert {x.dtype for x in decoder(make_maps())} == {torch.float32}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(in_channels=[4]), r'at least two maps, got in_channels \(4,\)'),
        (dict(channels=48), 'multiple of 32, got 48'),
        (dict(channels=64, num_heads=7), 'multiple of 7, got 64'),
    ],
)
def test_errors_name_the_number(change, message):
    with pytest.raises(ValueError, match=message):
        MSDeformPixelDecoder(**(dict(in_channels=[4, 6]) | change))


@torch.no_grad()
def test_out_indices_give_levels_finest_first(decoder):
    maps = make_maps()
    mask_features, coarsest, middle, fine = decoder(maps)
    decoder.out_indices = (0, 1, 2, 3)
    expected = (mask_features, fine, middle, coarsest)
    for found, like in zip(decoder(maps), expected, strict=True):
        assert torch.equal(found, like)
    chosen = MSDeformPixelDecoder([4, 6], channels=32, num_layers=1, out_indices=[-1])
    assert [x.shape[-1] for x in chosen(make_maps()[:2])] == [12]


def test_maps_in_the_wrong_order_or_of_other_widths_are_named(decoder):
    with pytest.raises(ValueError, match='MSDeformPixelDecoder was built for maps of'):
        decoder(make_maps()[:3])
    with pytest.raises(ValueError, match='turn them around'):
        decoder(make_maps()[::-1])
    same = MSDeformPixelDecoder([4, 4], channels=32, num_layers=1)
    with pytest.raises(ValueError, match='takes the finest map first'):
        same([torch.randn(1, 4, 4, 4), torch.randn(1, 4, 8, 8)])
