"""What the tests of operations share."""

import pytest
import torch

from mmovseg.models import ops


@pytest.fixture
def in_graph(monkeypatch):
    """Let operations take the form that graphs have."""
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)


@pytest.fixture
def assert_plain_agrees():
    """Return a function that compares values and gradients with the plain form."""

    def check(run, *inputs, module=None, **tolerance):
        inputs = [x.detach().requires_grad_() for x in inputs]
        learned = [*inputs, *(module.parameters() if module else ())]
        fast = run(*inputs)
        with ops.plain():
            plain = run(*inputs)
        assert fast.dtype == plain.dtype
        torch.testing.assert_close(fast, plain, **tolerance)
        along = torch.randn_like(plain)
        torch.testing.assert_close(
            torch.autograd.grad(fast, learned, along),
            torch.autograd.grad(plain, learned, along),
            **tolerance,
        )
        if module:
            module.eval()  # norms with statistics of their own
            with ops.plain():
                plain = run(*inputs)
        with torch.no_grad():
            torch.testing.assert_close(run(*inputs), plain, **tolerance)

    return check


def channels_last(x):
    return x.contiguous(memory_format=torch.channels_last)


def transposed(x):
    """Lay a map out with columns before rows."""
    return x.transpose(-1, -2).contiguous().transpose(-1, -2)


@pytest.fixture(params=[torch.Tensor.contiguous, channels_last, transposed])
def layout(request):
    """Return a function that lays a map out in one of three orders."""
    return request.param
