"""The converter of official DeOP checkpoints, on files with their real names."""

import pickle
import sys

import numpy as np
import pytest
import torch
from golden_utils import (
    ROOT,
    deop_converter,
    fill_deop,
    official_deop_shapes,
    official_shapes,
)
from mmengine.config import Config

from mmovseg.apis.config import without_downloads
from mmovseg.registry import MODELS

PACKED = 'decoder.outlayer.multihead_attn_my.in_proj_'
PREFIX = 'clip_adapter.prompt_learner.prefix_prompt'


def empty(shapes):
    """Return tensors of the right shapes that take no memory."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


@pytest.fixture(scope='module')
def our_shapes():
    """Return names and shapes of our models by kind."""

    def shapes(kind):
        path = ROOT / 'configs/deop' / f'{deop_converter.CONFIGS[kind]}.py'
        model = MODELS.build(without_downloads(Config.fromfile(path).model))
        return {name: value.shape for name, value in model.state_dict().items()}

    with pytest.MonkeyPatch.context() as patch:
        # Drawing 400 million numbers would take most of the time.
        for draw in ('normal_', 'uniform_'):
            patch.setattr(torch.Tensor, draw, lambda tensor, *_, **__: tensor)
        return {kind: shapes(kind) for kind in deop_converter.CONFIGS}


@pytest.mark.parametrize('kind', ['DeOP', 'SimBaseline'])
def test_every_official_name_is_mapped_or_known_to_be_unused(kind, our_shapes):
    official = empty(official_deop_shapes(kind))
    assert deop_converter.find_kind(official) == kind
    converted, dropped, unknown = deop_converter.convert(official, kind)
    assert unknown == []
    assert deop_converter.check(converted, our_shapes[kind]) == ([], [])
    signals = {
        f'clip_adapter.prompt_learner.{x}_signal'
        for x in ('start', 'dot', 'end', 'pad')
    }
    unused = {*signals, 'criterion.empty_weight'}
    if kind == 'DeOP':
        unused |= {'decoder.norm.weight', 'decoder.norm.bias'}
        embed = 'sem_seg_head.predictor.class_embed.layers'
        unused |= {f'{embed}.{i}.{x}' for i in (0, 1) for x in ('weight', 'bias')}
    else:
        unused |= {'clip_adapter.pixel_mean', 'clip_adapter.pixel_std'}
    assert set(dropped) == unused


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('backbone.stem.conv3.norm.running_var', 'backbone.stem.7.running_var'),
        ('backbone.res5.2.conv3.norm.bias', 'backbone.layer4.2.bn3.bias'),
        (
            'backbone.res2.0.shortcut.norm.weight',
            'backbone.layer1.0.downsample.1.weight',
        ),
        (
            'sem_seg_head.pixel_decoder.adapter_3.norm.bias',
            'pixel_decoder.laterals.2.1.bias',
        ),
        ('sem_seg_head.layer_4.weight', 'pixel_decoder.outputs.3.0.weight'),
        ('sem_seg_head.predictor.class_embed.layers.1.bias', 'class_embed.2.bias'),
        (
            'sem_seg_head.predictor.transformer.decoder.layers.4.multihead_attn.'
            'out_proj.bias',
            'layers.4.cross_attention.out_proj.bias',
        ),
    ],
)
def test_names_of_proposals(old, new):
    assert deop_converter.rename(old) == f'proposals.{new}'


def test_old_files_have_their_pixel_decoder_one_level_higher():
    shapes = official_deop_shapes()
    old = {
        name.replace('sem_seg_head.pixel_decoder.', 'sem_seg_head.'): shape
        for name, shape in shapes.items()
    }
    assert old != shapes
    first, second = (deop_converter.convert(empty(x), 'DeOP') for x in (shapes, old))
    assert set(first[0]) == set(second[0])
    assert not second[2]


def test_packed_projections_are_split_and_tables_are_counted():
    official = {
        f'{PACKED}{x}': fill_deop.fill_tensor(x, (12, 4)[: 2 - (x == 'bias')])
        for x in ('weight', 'bias')
    }
    visual = 'clip_adapter.clip_model.visual.'
    official[f'{visual}learned_position'] = torch.tensor(0.0)
    for block in (10, 2):
        name = f'{visual}transformer.resblocks.{block}.learned_position'
        official[name] = torch.tensor(float(block))
    converted, _, unknown = deop_converter.convert(official, 'DeOP')
    assert not unknown
    for last in ('weight', 'bias'):
        query, key = (
            converted[f'head.output.{x}_proj.{last}'] for x in ('query', 'key')
        )
        expected = official[f'{PACKED}{last}'][:8]
        assert torch.equal(torch.cat([query, key]), expected)
        assert query.untyped_storage().size() == query.numel() * 4  # no view is saved
    tables = {k: v.item() for k, v in converted.items() if 'tables' in k}
    prefix = 'backbone.visual_prompt.tables'
    assert tables == {f'{prefix}.0': 0, f'{prefix}.1': 2, f'{prefix}.2': 10}


def test_prompts_by_prepending_are_those_of_our_module():
    from mmovseg.models import PrependedPrompt

    ours = PrependedPrompt([1, 2], 3, channels=8, patch_size=4)
    name = 'clip_adapter.clip_model.visual.transformer.deep_prompt_embeddings'
    tokens = torch.arange(48.0).view(2, 3, 8)
    converted, _, unknown = deop_converter.convert({name: tokens}, 'DeOP')
    assert not unknown
    prefix = 'backbone.visual_prompt.'
    ours.load_state_dict({k.removeprefix(prefix): v for k, v in converted.items()})
    assert torch.equal(ours.tokens, tokens)


def convert_file(monkeypatch, *args):
    monkeypatch.setattr(sys, 'argv', ['convert', *map(str, args)])
    deop_converter.main()


def test_a_converted_file_says_what_it_is_for(
    tmp_path, monkeypatch, capsys, our_shapes
):
    # Every tensor repeats one stored number: the file is small.
    half = torch.tensor(0.5)
    official = {k: half.expand(v) for k, v in official_deop_shapes().items()}
    torch.save(dict(model=official, iteration=7), tmp_path / 'official.pth')
    monkeypatch.setattr(
        deop_converter, 'expected_shapes', lambda config: our_shapes['DeOP']
    )
    convert_file(monkeypatch, tmp_path / 'official.pth', tmp_path / 'ours.pth')
    output = capsys.readouterr().out
    assert 'deop_vit-b16_released_cocostuff-156' in output
    assert 'mapped   1117' in output
    assert 'dropped  11 ' in output
    checkpoint = torch.load(tmp_path / 'ours.pth', weights_only=True)
    assert set(checkpoint['state_dict']) == set(our_shapes['DeOP'])
    for name, value in checkpoint['state_dict'].items():
        assert (value == (0 if 'num_batches' in name else 0.5)).all(), name


@pytest.mark.parametrize('alone', [True, False], ids=['prompt alone', 'with CLIP'])
def test_of_a_prompt_file_the_prompt_is_kept(tmp_path, monkeypatch, capsys, alone):
    state = {
        name: torch.ones(()).expand(shape)
        for name, shape in official_deop_shapes('SimBaseline').items()
        if name.startswith('clip_adapter.prompt_learner.' if alone else 'clip_adapter.')
    }
    torch.save(dict(model=state), tmp_path / 'stage1.pth')
    convert_file(monkeypatch, tmp_path / 'stage1.pth', tmp_path / 'ours.pth')
    assert '--init-from' in capsys.readouterr().out
    state = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert {k: tuple(v.shape) for k, v in state.items()} == {
        'text_classifier.prompt_learner.prefix': (16, 512)
    }


def test_the_backbone_of_the_model_zoo_fits_ours(tmp_path, monkeypatch, our_shapes):
    """R-103.pkl: arrays, no prefix, and ImageNet's classes."""
    shapes = official_deop_shapes()
    arrays = {
        name.removeprefix('backbone.'): np.broadcast_to(np.float32(1), shape)
        for name, shape in shapes.items()
        if name.startswith('backbone.')
    }
    arrays['stem.fc.weight'] = np.zeros((4, 2), np.float32)
    assert deop_converter.find_kind(arrays) == 'backbone'
    small = {k: v for k, v in arrays.items() if not k.startswith(('res4', 'res5'))}
    content = dict(model=small, __author__='x', matching_heuristics=True)
    (tmp_path / 'R-103.pkl').write_bytes(pickle.dumps(content))
    convert_file(monkeypatch, tmp_path / 'R-103.pkl', tmp_path / 'ours.pth')
    state = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    ours = {
        name: shape
        for name, shape in our_shapes['DeOP'].items()
        if name.startswith('proposals.backbone.')
        and name[19:25] not in ('layer3', 'layer4')
    }
    assert {name: value.shape for name, value in state.items()} == ours


def broken(kind):
    state = empty(official_deop_shapes())
    if kind == 'another model':
        return empty(official_shapes('s'))
    if kind == 'a name missing':
        del state['query_embedding.weight'], state['decoder.norm.bias']
        state = {k: v for k, v in state.items() if 'mask_embed.layers.2' not in k}
    if kind == 'a shape wrong':
        state[PREFIX] = torch.zeros(8, 512)
    if kind == 'a name unknown':
        state['extra.weight'] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('another model', 'no DeOP, SimBaseline, prompt or ResNet'),
        ('a name missing', 'proposals.mask_embed.4.weight'),
        ('a shape wrong', 'prompt_learner.prefix: (8, 512), expected (16, 512)'),
        ('a name unknown', 'extra.weight'),
    ],
)
def test_something_else_is_refused_and_nothing_is_written(
    kind, message, tmp_path, monkeypatch, capsys, our_shapes
):
    names = {name: kind for kind, name in deop_converter.CONFIGS.items()}
    monkeypatch.setattr(deop_converter, 'read', lambda path: broken(kind))
    monkeypatch.setattr(
        deop_converter, 'expected_shapes', lambda config: our_shapes[names[config]]
    )
    with pytest.raises(SystemExit) as error:
        convert_file(monkeypatch, tmp_path / 'in.pth', tmp_path / 'out.pth')
    assert message in str(error.value) + capsys.readouterr().out
    assert not (tmp_path / 'out.pth').exists()
