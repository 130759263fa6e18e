import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.losses import point_sampling
from mmovseg.models.losses.point_sampling import (
    draw_uncertain_points,
    sample_maps,
    sample_masks,
)


def bilinear(image, x, y):
    """Read one point of one map, slowly; outside counts as zero."""
    height, width = image.shape
    x, y = x * width - 0.5, y * height - 0.5
    value = 0.0
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
            value += weight * float(image[row, column])
    return value


def test_sample_maps_equals_a_loop(seed):
    maps, points = torch.randn(2, 3, 4, 5), torch.rand(2, 6, 2)
    result = sample_maps(maps, points)
    for b in range(2):
        for c in range(3):
            for p in range(6):
                expected = bilinear(maps[b, c], *points[b, p].tolist())
                assert result[b, c, p].item() == pytest.approx(expected, abs=1e-5)


def test_center_of_four_pixels_is_their_mean():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    points = torch.tensor([[[0.5, 0.5], [0.25, 0.25], [0.75, 0.25]]])
    assert sample_maps(maps, points).tolist() == [[[3.0, 1.0, 2.0]]]


@pytest.mark.parametrize('shared_points', [False, True])
@pytest.mark.parametrize('dense', [0, 32])
def test_sample_masks_equals_grid_sample(seed, shared_points, dense, monkeypatch):
    monkeypatch.setattr(point_sampling, 'DENSE', dense)
    masks = torch.rand(4, 17, 23) > 0.5
    rows = torch.tensor([3, 0, 0])
    points = torch.rand(1 if shared_points else 3, 500, 2)
    # Borders and corners, where two or four neighbors are outside.
    points[:, :4] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.3]])
    result = sample_masks(masks, points, rows)
    grid = 2 * points.expand(3, -1, -1)[:, None] - 1
    expected = F.grid_sample(masks[rows, None].float(), grid, align_corners=False)
    torch.testing.assert_close(result, expected[:, 0, 0], rtol=0, atol=1e-5)


def test_sample_masks_accepts_no_mask_and_no_row():
    rows = torch.zeros(0, dtype=torch.int64)
    for count in (0, 2):
        masks = torch.ones(count, 4, 4, dtype=torch.bool)
        assert sample_masks(masks, torch.rand(1, 7, 2), rows).shape == (0, 7)
        assert sample_masks(masks, torch.rand(0, 7, 2), rows).shape == (0, 7)


def test_uncertain_points_are_those_nearest_to_zero(seed, monkeypatch):
    draws = [torch.rand(2, 30, 2), torch.rand(2, 3, 2)]
    served = iter(draws)
    monkeypatch.setattr(torch, 'rand', lambda *size, **_: next(served).view(size))
    mask_logits = torch.randn(2, 6, 5)
    points = draw_uncertain_points(
        mask_logits, 10, oversample_ratio=3, importance_ratio=0.75
    )
    for n in range(2):
        distance = [
            abs(bilinear(mask_logits[n], *point)) for point in draws[0][n].tolist()
        ]
        nearest = sorted(range(30), key=distance.__getitem__)[:7]
        expected = {tuple(draws[0][n, p].tolist()) for p in nearest}
        assert {tuple(point) for point in points[n, :7].tolist()} == expected
    assert torch.equal(points[:, 7:], draws[1])


@pytest.mark.parametrize('ratio', [0.0, 1.0])
def test_all_or_none_of_the_points_may_be_uncertain(ratio):
    points = draw_uncertain_points(
        torch.randn(2, 4, 4), 9, oversample_ratio=2, importance_ratio=ratio
    )
    assert points.shape == (2, 9, 2)
