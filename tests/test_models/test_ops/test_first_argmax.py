import pytest
import torch

from mmovseg.models import ops
from mmovseg.models.ops import first_argmax


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('shape', [(40, 500), (1, 7), (3, 4, 5)])
def test_the_plain_form_agrees_and_the_first_of_equal_values_wins(dtype, shape, seed):
    values = torch.randint(0, 4, shape).to(dtype)
    with ops.plain():
        expected = first_argmax(values)
    assert torch.equal(expected, values.argmax(0))
    assert torch.equal(first_argmax(values), expected)
    last = values.movedim(0, -1).contiguous().movedim(-1, 0)
    assert torch.equal(first_argmax(last), expected)


def test_a_column_of_nan_has_an_index_too():
    assert first_argmax(torch.full((3, 2), torch.nan)).max() < 3
