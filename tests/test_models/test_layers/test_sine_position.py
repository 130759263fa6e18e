import math

import torch

from mmovseg.models.layers import sine_position


def test_every_value_is_the_formula():
    height, width, channels = 3, 5, 8
    found = sine_position((height, width), channels)
    assert found.shape == (15, 8)
    for y in range(height):
        for x in range(width):
            expected = []
            for place, length in ((y + 1, height), (x + 1, width)):
                angle = place / (length + 1e-6) * 2 * math.pi
                for i in range(2):
                    scaled = angle / 10000 ** (2 * i / 4)
                    expected += [math.sin(scaled), math.cos(scaled)]
            torch.testing.assert_close(
                found[y * width + x], torch.tensor(expected), atol=1e-5, rtol=0
            )
