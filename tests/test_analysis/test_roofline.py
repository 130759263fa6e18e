"""Bytes against counts by hand; costs against a model's own counts."""

import pytest
import torch
import torch.nn.functional as F

from mmovseg.analysis.profiling import (
    build_model,
    count_macs,
    random_text,
    run_model,
)
from mmovseg.analysis.roofline import (
    Cost,
    Peak,
    count_bytes,
    measure_peak,
    profile_parts,
    roofline_table,
)

PEAK = Peak(flops=1e12, bandwidth=1e11)


@pytest.mark.parametrize(
    ('run', 'numbers'),
    [
        (lambda x: x + 1, 2 * 12),
        (lambda x: x.relu_(), 2 * 12),
        # torch.ones writes its numbers.
        (lambda x: x @ torch.ones(4, 5), 5 * 4 + 3 * 4 + 4 * 5 + 3 * 5),
        # Views move nothing; what is expanded is in memory once.
        (lambda x: x.view(4, 3).T.unsqueeze(0)[0].reshape(1, 3, 4)[:, 1:], 0),
        (lambda x: x.T.reshape(12), 2 * 12),
        (lambda x: x[:1].expand(3, 4) + x, 4 + 12 + 12),
        (lambda x: torch.empty(7, 7), 0),
        (lambda x: torch.zeros(0) + 1, 0),
    ],
)
def test_bytes_are_those_of_operands_and_results(run, numbers):
    x = torch.randn(3, 4)
    with count_bytes() as read:
        run(x)
        assert read() == 4 * numbers


def test_bytes_include_parameters_and_follow_the_type():
    x, weight, bias = torch.randn(1, 2, 8, 8), torch.randn(3, 2, 1, 1), torch.ones(3)
    wide = 2 * 64 + 6 + 3 + 3 * 64
    with count_bytes() as read:
        F.conv2d(x, weight, bias)
        assert read() == 4 * wide
        F.conv2d(x.half(), weight.half(), bias.half())
        casts = 6 * (2 * 64 + 6 + 3)
        assert read() == 4 * wide + casts + 2 * wide


def test_the_share_is_that_of_the_nearer_limit():
    compute = Cost(seconds=2.0, flops=1e12, bytes=1e10)
    assert compute.bound(PEAK) == 'compute'
    assert compute.share(PEAK) == 0.5
    memory = Cost(seconds=2.0, flops=1e11, bytes=1e11)
    assert memory.bound(PEAK) == 'memory'
    assert memory.share(PEAK) == 0.5
    assert Cost(0.0, 0.0, 0.0).share(PEAK) == 0


def test_the_peak_is_what_was_timed(monkeypatch):
    # Every reading is a second after the one before.
    ticks = iter(range(1000))
    monkeypatch.setattr(
        'mmovseg.analysis.roofline.read_clock', lambda device: lambda: next(ticks)
    )
    peak = measure_peak('cpu', size=8, length=100)
    assert peak.flops == 2 * 8**3
    assert peak.bandwidth == 2 * 4 * 100


def test_costs_of_a_model_are_its_own_counts(tiny_clip):
    model = build_model('eovseg_tiny_shapeworld')
    trained = sum(p.requires_grad for p in model.parameters())
    inputs = torch.randn(1, 3, 64, 64)
    costs = profile_parts(model, inputs, warmup=0, repeat=2)
    assert sum(p.requires_grad for p in model.parameters()) == trained
    text = random_text(model)
    model.requires_grad_(False)
    with count_macs() as read:
        run_model(model, inputs, text)
        assert costs['total'].flops == 2 * read()
    with count_bytes() as read:
        run_model(model, inputs, text)
        # What fusion keeps depends on the random text.
        assert costs['total'].bytes == pytest.approx(read(), rel=0.2)
    parts = ('backbone', 'neck', 'spatial_backbone', 'decoder', 'rest', 'fusion')
    assert costs['ensemble'].flops == 0  # neither convolutions nor products
    for field in ('flops', 'bytes'):
        amounts = [getattr(costs[name], field) for name in parts]
        assert all(amounts)
        amounts.append(getattr(costs['ensemble'], field))
        assert sum(amounts) == pytest.approx(getattr(costs['total'], field))
    assert costs['neck'].bytes > costs['neck.selection'].bytes > 0
    # The frozen tower reads each of its weights at least once.
    weights = sum(p.nbytes for p in model.backbone.visual.layer4.parameters())
    assert costs['backbone'].bytes > weights


def test_the_table_has_a_line_per_part():
    costs = dict(neck=Cost(0.5, 1e11, 1e9), none=Cost(0.0, 0.0, 0.0))
    head, rule, neck, none = roofline_table(costs, PEAK).splitlines()
    assert len({line.count('|') for line in (head, rule, neck, none)}) == 1
    assert neck == (
        '| neck | 500.0 | 100.00 | 1,000 | 100.0 | 200.0 | 2.0 | compute | 20 % |'
    )
    assert none.startswith('| none | 0.0 | 0.00 | 0 |  |  |  |')
