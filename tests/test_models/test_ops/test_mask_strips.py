from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import ops
from mmovseg.models.ops import mask_strips

module = import_module('mmovseg.models.ops.mask_strips')

# (map, padded, image, output): plain, padding, up, down, odd, one row, one column
SIZES = [
    ((8, 12), (32, 48), (32, 48), (32, 48)),
    ((8, 12), (32, 48), (30, 41), (30, 41)),
    ((8, 12), (32, 48), (30, 41), (71, 95)),
    ((16, 16), (64, 64), (64, 50), (23, 18)),
    ((8, 8), (32, 32), (5, 32), (1, 17)),
    ((8, 8), (32, 32), (32, 1), (40, 1)),
    ((8, 8), (32, 32), (3, 2), (6, 4)),
    ((8, 8), (32, 32), (26, 26), (7, 7)),  # nearly the map's size
    ((8, 8), (32, 32), (32, 20), (4, 32)),  # output as wide as the padded input
]
KINDS = {
    'two steps': {},
    'one step': dict(one_step=True),
    'probabilities': dict(probabilities=True),
    'one step for all': dict(one_step=True, probabilities=True),
}


def join(masks, padded, image, output, *, max_values=2**21, **kind):
    """Put all strips together."""
    options = dict(img_shape=image, ori_shape=output, max_values=max_values, **kind)
    strips = list(mask_strips(masks, padded, **options))
    ends = [rows.stop for rows, _ in strips]
    assert [rows.start for rows, _ in strips] == [0, *ends[:-1]]
    assert ends[-1] == output[0]
    return torch.cat([strip for _, strip in strips], 1)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('map_size, padded, image, output', SIZES)
def test_the_plain_form_agrees(kind, map_size, padded, image, output, seed):
    masks = 5 * torch.randn(3, *map_size)
    with ops.plain():
        expected = join(masks, padded, image, output, max_values=1, **KINDS[kind])
    assert expected.shape == (3, *output)
    for values in (1, 200, 3 * output[1] * 7, 2**21):
        whole = join(masks, padded, image, output, max_values=values, **KINDS[kind])
        torch.testing.assert_close(whole, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize('kind', KINDS)
def test_any_type_and_layout_is_resized_in_float32(dtype, kind, layout, seed):
    masks = torch.randn(3, 8, 12).to(dtype)
    expected = join(masks.float(), *SIZES[2][1:], **KINDS[kind])
    for active in (False, True):
        with ops.plain(active):
            found = join(layout(masks[None])[0], *SIZES[2][1:], **KINDS[kind])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize('map_size, padded, image, output', SIZES)
def test_probabilities_are_resized_after_the_sigmoid(
    map_size, padded, image, output, seed
):
    masks = 5 * torch.randn(3, *map_size)
    expected = F.interpolate(masks[None], padded, mode='bilinear')
    expected = expected[..., : image[0], : image[1]].sigmoid()
    expected = F.interpolate(expected, output, mode='bilinear')[0]
    found = join(masks, padded, image, output, probabilities=True)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize('output', [(300, 200), (32, 32), (9, 20), (32, 7), (7, 64)])
def test_no_temporary_of_probabilities_is_larger_than_asked(monkeypatch, output):
    """Neither in the image nor in the output, whichever is larger."""
    sizes = []
    original = module.StripProbabilities.__call__

    def call(self, masks, rows):
        reads = self.to_output.reads(rows)
        sizes.append(10 * (reads.stop - reads.start) * self.img_shape[1])
        strip = original(self, masks, rows)
        sizes.append(strip.numel())
        return strip

    monkeypatch.setattr(module.StripProbabilities, '__call__', call)
    masks, image = torch.randn(10, 8, 8), (32, 32)
    join(masks, image, image, output, max_values=3000, probabilities=True)
    assert max(sizes) <= 3000
