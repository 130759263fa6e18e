"""Steps in bfloat16 on whatever device there is."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn


@pytest.fixture
def model(seed):
    return nn.Linear(300, 1)


def wrapper(model, **changes):
    config = dict(type='mmovseg.BFloat16OptimWrapper', **changes)
    config['optimizer'] = dict(type='SGD', lr=0.5)
    return build_optim_wrapper(model, config)


def test_products_are_in_bfloat16_and_weights_stay(model):
    optim, before = wrapper(model), model.weight.detach().clone()
    x = torch.randn(4, 300)
    with optim.optim_context(model):
        out = model(x)
    assert out.dtype == torch.bfloat16
    exact = model(x)
    assert exact.dtype == torch.float32
    assert not torch.equal(out.float(), exact)
    torch.testing.assert_close(out.float(), exact, atol=0.02, rtol=0.02)
    optim.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    # The gradient of a sum is the input, which was rounded.
    step = 0.5 * x.sum(0, keepdim=True)
    torch.testing.assert_close(before - model.weight, step, atol=0.05, rtol=0.02)


def test_gradients_are_accumulated_and_small_ones_stay(model):
    optim = wrapper(model, accumulative_counts=2)
    optim.initialize_count_status(model, 0, 2)
    grads = []
    for _ in range(2):
        with optim.optim_context(model):
            # Far below the smallest number of float16.
            loss = model(torch.zeros(1, 300)).sum() * 1e-20
        optim.update_params(loss)
        grads.append(model.bias.grad)
    # Half a loss each; after the step there is none.
    assert grads[0].item() == pytest.approx(5e-21, rel=0.01)
    assert grads[1] is None
