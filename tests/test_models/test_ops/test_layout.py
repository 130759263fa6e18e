import torch

from mmovseg.models import ops


def test_channels_come_last_on_a_cpu(seed):
    x = torch.randn(2, 3, 4, 5)
    last = ops.to_channels_last(x)
    assert torch.equal(last, x)
    assert last.is_contiguous(memory_format=torch.channels_last)
    with ops.plain():
        assert ops.to_channels_last(x) is x
    assert ops.to_channels_last(x.to('meta')).is_contiguous()


def test_a_map_is_copied_for_graphs_and_plain_code_only(seed, monkeypatch):
    x = torch.randn(2, 3, 4, 5).permute(0, 3, 1, 2)
    assert ops.keep_layout(x) is x
    with ops.plain():
        assert ops.keep_layout(x).is_contiguous()
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    assert ops.to_channels_last(x) is x
    assert ops.keep_layout(x).is_contiguous()
    assert torch.equal(ops.keep_layout(x), x)
