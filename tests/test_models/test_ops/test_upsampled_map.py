import pytest
import torch
from torch import nn

from mmovseg.models import ops
from mmovseg.models.ops import MapToPool, mask_pool, upsample_to_pool, upsampled_map


def make_upsample(channels, steps):
    layers = []
    for _ in range(steps):
        layers += [nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.GELU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('steps', [1, 2])
@pytest.mark.parametrize('once', [True, False])
def test_the_plain_form_agrees(
    dtype, batch, steps, once, layout, seed, assert_plain_agrees, monkeypatch
):
    monkeypatch.setattr(upsampled_map, 'CHUNK', 40)
    upsample = make_upsample(5, steps).to(dtype)
    x = layout(torch.randn(batch, 5, 3, 4).to(dtype))
    masks = torch.randn(batch, 3, 7, 9)
    half = dict(rtol=5e-2, atol=5e-2) if dtype == torch.bfloat16 else {}

    def run(x):
        layers = list(upsample)
        return mask_pool(upsample_to_pool(x, upsample, layers, once=once), masks)

    assert_plain_agrees(run, x, module=upsample, **half)


def test_a_map_that_is_pooled_again_is_made_once(seed):
    upsample, x = make_upsample(5, 2), torch.randn(2, 5, 3, 4)
    calls = []
    upsample[0].register_forward_hook(lambda *_: calls.append('map'))
    layers = [upsample[0], lambda rows: calls.append('rows') or rows, *upsample[1:]]
    fine = upsample_to_pool(x, upsample, layers, once=False)
    for seed in (1, 2):
        masks = torch.randn(2, 3, 12, 16, generator=torch.manual_seed(seed))
        torch.testing.assert_close(
            mask_pool(fine, masks), mask_pool(upsample(x), masks)
        )
        del calls[-1]
    assert calls == ['rows']


def test_plain_code_graphs_and_no_step_at_all_make_the_map(seed, monkeypatch):
    upsample, x = make_upsample(5, 1), torch.randn(1, 5, 3, 4)
    assert isinstance(upsample_to_pool(x, upsample, list(upsample)), MapToPool)
    assert torch.equal(upsample_to_pool(x, nn.Sequential(), []), x)
    with ops.plain():
        assert upsample_to_pool(x, upsample, list(upsample)).shape == (1, 5, 6, 8)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    assert upsample_to_pool(x, upsample, list(upsample)).shape == (1, 5, 6, 8)
