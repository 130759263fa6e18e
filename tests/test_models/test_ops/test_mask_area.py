import pytest
import torch

from mmovseg.models import ops
from mmovseg.models.ops import mask_area


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('num', [0, 1, 5])
def test_the_plain_form_agrees(dtype, num, layout, seed):
    masks = layout(torch.rand(1, num, 40, 30).to(dtype))[0]
    masks[:, 0] = 0.5  # which counts
    expected = [int((mask >= 0.5).count_nonzero()) for mask in masks]
    for active in (False, True):
        with ops.plain(active):
            area = mask_area(masks)
        assert area.dtype == torch.int64 and area.tolist() == expected
