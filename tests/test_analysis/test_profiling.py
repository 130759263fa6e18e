"""Counts of parameters and multiply-accumulates, against spec and hand."""

import pytest
import torch
from torch import nn
from torchvision.ops import DeformConv2d

from mmovseg.analysis.profiling import (
    build_model,
    count_macs,
    count_parameters,
    measure_parts,
    paper_parameters,
    random_text,
    run_model,
    text_sample,
    time_models,
    watch_parts,
)
from mmovseg.apis.fast_mode import FastMode, make_fast
from mmovseg.vocabulary import Vocabulary


@pytest.fixture
def _no_random_weights(monkeypatch):
    """Leave weights as they are allocated: filling them takes most of the time."""
    for name in ('normal_', 'uniform_', 'kaiming_uniform_', 'kaiming_normal_'):
        monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


# Millions: what runs, what the paper prints (eovseg.md, section 15), what is trained.
@pytest.mark.slow
@pytest.mark.usefixtures('_no_random_weights')
@pytest.mark.parametrize(
    ('size', 'runs', 'paper', 'trainable'),
    [
        ('r50', 75.284, 71.347, 29.136),
        ('r50x4', 131.388, 127.451, 36.419),
        ('convnext-l', 229.388, 225.451, 21.786),
    ],
)
def test_parameters_equal_those_of_the_paper(size, runs, paper, trainable):
    model = build_model(f'eovseg_{size}_coco')
    counts = count_parameters(model)
    assert sum(x.trainable for x in counts.values()) / 1e6 == pytest.approx(
        trainable, abs=6e-4
    )
    counts.pop('text_tower')
    total = sum(x.total for x in counts.values())
    assert total / 1e6 == pytest.approx(runs, abs=6e-4)
    assert paper_parameters(model) / 1e6 == pytest.approx(paper, abs=6e-4)


def test_the_paper_counted_no_network_with_another_extractor():
    part = 'model.spatial_backbone'
    other = dict(type='TimmViTBackbone', model_name='test_vit', pretrained=None)
    other = {f'{part}.{key}': value for key, value in other.items()}
    assert paper_parameters(build_model('eovseg_tiny_shapeworld', other)) is None
    assert paper_parameters(build_model('eovseg_tiny_shapeworld')) is not None


def test_macs_of_layers_equal_hand_counts():
    conv = nn.Conv2d(4, 6, 3, padding=1)
    deform = DeformConv2d(4, 6, 3, padding=1)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    x, tokens = torch.randn(1, 4, 5, 7), torch.randn(1, 10, 8)
    with torch.no_grad():
        with count_macs() as read:
            conv(x)
            assert read() == 5 * 7 * 6 * 4 * 9
        with count_macs() as read:
            deform(x, torch.zeros(1, 18, 5, 7))
            assert read() == 5 * 7 * 6 * 4 * 9
        with count_macs() as read:
            attention(tokens, tokens, tokens, need_weights=False)
            # Four projections, then queries by keys and weights by values.
            assert read() == 4 * 10 * 8 * 8 + 2 * 10 * 10 * 8


def test_parts_add_up_to_the_whole(tiny_clip):
    model = build_model('eovseg_tiny_shapeworld').requires_grad_(False)
    text, inputs = random_text(model), torch.randn(1, 3, 64, 64)
    with count_macs() as read, watch_parts(model, read) as parts:
        run_model(model, inputs, text)
        total = read()
    assert parts.pop('ensemble') == 0  # neither convolutions nor products
    assert parts.keys() == {'backbone', 'neck', 'spatial_backbone', 'decoder', 'fusion'}
    assert all(parts.values())
    # The rest is CLIP's scores of the masks.
    assert 0.9 * total < sum(parts.values()) < total
    with count_macs() as read:
        run_model(model, torch.randn(2, 3, 64, 64), text)
        assert read() > 1.9 * total


def test_runs_with_buckets_are_padded_and_cropped():
    model = build_model('eovseg_tiny_shapeworld')
    text, inputs = random_text(model), torch.randn(2, 3, 64, 96)
    shapes, infer = [], model.predict_masks

    def watch(inputs, text, samples):
        shapes.append((tuple(inputs.shape), samples[0].img_shape))
        return infer(inputs, text, samples)

    make_fast(model, ['buckets=128'])
    model.predict_masks = watch
    results = run_model(model, inputs, text)
    assert shapes == [((2, 3, 128, 128), (64, 96))]
    assert results[1].pred_panoptic_seg.sem_seg.shape == (1, 64, 96)


class _Parts(nn.Module):
    """A part, two in a list, one inside another, and work of its own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(2)
        )
        self.unused = nn.Linear(2, 2)
        self.fusion = nn.Identity()

    def forward(self, x):
        x = self.fusion(self.first(x))
        for stage in self.stages:
            x = stage(x)
        return x


def test_parts_are_watched_to_a_depth_and_lists_as_one():
    model, ticks = _Parts(), iter(range(100))
    with watch_parts(model, lambda: next(ticks)) as gains:
        model(torch.zeros(2))
    # Without parts of their own: every one starts and stops at the next tick.
    assert gains == {'first': 1, 'fusion': 1, 'stages': 2}
    ticks = iter(range(100))
    with watch_parts(model, lambda: next(ticks), depth=2) as gains:
        model(torch.zeros(2))
    assert gains.pop('stages') == 2 * 5
    assert gains == {'first': 1, 'fusion': 1, 'stages.0': 2, 'stages.1': 2}
    model(torch.zeros(2))
    assert next(ticks) == 16  # the hooks are gone


def test_rest_is_what_no_part_did():
    model, ticks = _Parts(), iter(range(100))
    parts = measure_parts(
        model, lambda: next(ticks), lambda: model(torch.zeros(2)), depth=2
    )
    order = ['first', 'stages', 'stages.0', 'stages.1', 'rest', 'fusion', 'total']
    assert list(parts) == order
    assert parts['total'] == 17
    assert parts['rest'] == 17 - 1 - 1 - 10


def test_models_are_timed_in_turns(tiny_clip, monkeypatch):
    models = [build_model('eovseg_tiny_shapeworld') for _ in range(2)]
    turns = []
    for index, model in enumerate(models):
        model.backbone.register_forward_hook(lambda *_, i=index: turns.append(i))
    times = time_models(models, torch.randn(1, 3, 64, 64), warmup=1, repeat=2)
    assert turns == [0, 1] * 3
    for rows in times:
        assert {len(seconds) for seconds in rows.values()} == {2}
        parts = [sum(run) for run in zip(*rows.values(), strict=True)]
        # All parts and the rest, and the total once more.
        assert parts == pytest.approx([2 * total for total in rows['total']])


class _Compiled:
    mode = FastMode(compile=True)

    def __call__(self, model, *arguments):
        return model.segment_batch(*arguments)


def test_parts_of_a_compiled_program_are_not_watched():
    model = build_model('eovseg_tiny_shapeworld')
    model.execution = _Compiled()
    with watch_parts(model, lambda: 1) as parts:
        run_model(model, torch.randn(1, 3, 64, 64), random_text(model))
    assert parts.keys() == {'fusion'}


def test_text_sample_scales_with_the_number_of_names():
    vocabulary = Vocabulary.from_names(['a; b', 'c', 'd; e; f', 'g; h'])
    sample, factor = text_sample(vocabulary, 2)
    assert sample.all_names == ('a', 'b', 'c')
    assert factor == 8 / 3
