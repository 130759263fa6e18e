import sys

import pytest
import torch

from mmovseg.models import ops
from mmovseg.models.ops import ms_deform_attn

SIZES = [(2, 3), (4, 5), (1, 7)]


def make_inputs(batch, dtype=torch.float32):
    """Return values, locations (some outside, some on borders) and weights."""
    length = sum(height * width for height, width in SIZES)
    values = torch.randn(batch, length, 2, 4, dtype=dtype)
    locations = torch.rand(batch, 9, 2, 3, 2, 2, dtype=dtype) * 1.6 - 0.3
    locations[:, 0] = torch.tensor([0.0, 1.0])
    locations[:, 1] = 0.5
    locations[:, 2] = torch.tensor([-4.0, 9.0])
    weights = torch.rand(batch, 9, 2, 3, 2, dtype=dtype)
    return values, locations, weights


def sample(image, x, y):
    """Return the bilinear sample of an image ``[h, w, c]``, zeros outside."""
    height, width = image.shape[:2]
    x, y = x * width - 0.5, y * height - 0.5
    total = image.new_zeros(image.shape[2])
    for row in (int(y // 1), int(y // 1) + 1):
        for column in (int(x // 1), int(x // 1) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * image[row, column]
    return total


@pytest.mark.parametrize('active', [False, True])
@torch.no_grad()
def test_a_query_reads_weighted_bilinear_samples(seed, active):
    values, locations, weights = make_inputs(2)
    with ops.plain(active):
        found = ms_deform_attn(values, SIZES, locations, weights)
    levels = values.split([height * width for height, width in SIZES], 1)
    for b, n, head in ((0, 0, 0), (1, 1, 1), (0, 2, 1), (1, 5, 0), (0, 8, 1)):
        expected = torch.zeros(4)
        for index, (level, size) in enumerate(zip(levels, SIZES, strict=True)):
            image = level[b, :, head].unflatten(0, size)
            for point in range(2):
                x, y = locations[b, n, head, index, point].tolist()
                expected += weights[b, n, head, index, point] * sample(image, x, y)
        torch.testing.assert_close(found[b, n, 4 * head :][:4], expected)


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('chunk', [4, 2048])
@torch.no_grad()
def test_the_plain_form_agrees(batch, chunk, seed, monkeypatch):
    # By this name, as the package's attribute is the function.
    monkeypatch.setattr(sys.modules[ms_deform_attn.__module__], 'CHUNK', chunk)
    inputs = make_inputs(batch)
    with ops.plain():
        expected = ms_deform_attn(inputs[0], SIZES, *inputs[1:])
    found = ms_deform_attn(inputs[0], SIZES, *inputs[1:])
    torch.testing.assert_close(found, expected)


def test_gradients_of_values_locations_and_weights(seed):
    values, locations, weights = make_inputs(1, torch.float64)
    locations[:, :3] = 0.37  # no gradient exists on a border
    inputs = [x.requires_grad_() for x in (values, locations, weights)]

    def run(values, locations, weights):
        return ms_deform_attn(values, SIZES, locations, weights)

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
