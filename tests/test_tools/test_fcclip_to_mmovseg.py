"""The converter of official FC-CLIP checkpoints, on files with their real names."""

import json
import sys

import pytest
import torch
from golden_utils import GOLDEN, ROOT, fcclip_converter

from mmovseg.apis.conversion import expected_shapes
from mmovseg.models.clip import create_clip

SIZES = {
    'r50': 'fcclip_r50_coco',
    'r101': 'fcclip_r101_coco',
    'r50x4': 'fcclip_r50x4_coco',
    'r50x16': 'fcclip_r50x16_coco',
    'r50x64': 'fcclip_r50x64_coco',
    'convnext-l': 'fcclip_convnext-l_coco',
}
TEXT = 'backbone.clip_model.'
STORED = ('r50', 'r50x4', 'convnext-l')


def official_shapes(size, folder=GOLDEN):
    return json.loads((folder / f'fcclip_{size}.json').read_text())['state_dict']


def empty(shapes):
    """Return tensors of the right shapes that take no memory."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize('size', SIZES)
def test_every_official_name_is_mapped_and_tells_its_size(size, request):
    if size in STORED:
        shapes = official_shapes(size)
    else:
        shapes = official_shapes(size, request.getfixturevalue('shared') / 'golden')
    converted, dropped, unknown = fcclip_converter.convert(empty(shapes))
    assert not unknown
    assert dropped == ['criterion.empty_weight']
    assert len(converted) == len(shapes) - 1
    config = fcclip_converter.find_config(converted)
    assert config == SIZES[size]
    assert (ROOT / 'configs/fcclip' / f'{config}.py').is_file()
    if size == 'r50':  # the others are as large as memory
        missing, wrong = fcclip_converter.check(converted, expected_shapes(config))
        assert missing == wrong == []


@pytest.fixture
def convert(tmp_path, monkeypatch, capsys):
    """Return a function that converts a state dict; it gives the printed report."""

    def run(state, *options):
        monkeypatch.setattr(fcclip_converter, 'read', lambda path: state)
        argv = [
            'convert',
            str(tmp_path / 'in.pth'),
            str(tmp_path / 'out.pth'),
            *options,
        ]
        monkeypatch.setattr(sys, 'argv', argv)
        fcclip_converter.main()
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_a_file_without_text_tower_takes_it_from_clip(convert, tmp_path, monkeypatch):
    from mmovseg.apis import init_model

    shapes = official_shapes('r50')
    text = [
        name
        for name in shapes
        if name.startswith(TEXT) and not name.startswith(TEXT + 'visual.')
    ]
    state = {
        # Counters of batches are whole numbers.
        name: torch.tensor(7 if name.endswith('tracked') else 0.5).expand(shape)
        for name, shape in shapes.items()
        if name not in text
    }
    clip = create_clip('RN50-quickgelu')
    for parameter in clip.parameters():
        parameter.data.fill_(0.25)
    torch.save(clip.state_dict(), tmp_path / 'clip.pt')
    printed = convert(state, '--clip', str(tmp_path / 'clip.pt'))
    assert f'from CLIP {len(text)} (the file lacks them)' in printed
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    model = init_model('fcclip_r50_coco', tmp_path / 'out.pth')
    for name, parameter in model.named_parameters():
        supplied = name.startswith('text_classifier.') and 'void' not in name
        assert (parameter == (0.25 if supplied else 0.5)).all(), name


def broken(kind):
    state = empty(official_shapes('r50'))
    if kind == 'another model':
        return {'backbone.conv1.weight': torch.zeros(3)}
    if kind == 'a name missing':
        del state['sem_seg_head.predictor.query_feat.weight']
    if kind == 'a shape wrong':
        state['sem_seg_head.predictor.decoder_norm.bias'] = torch.zeros(7)
    if kind == 'a name unknown':
        state['extra.weight'] = torch.zeros(1)
    if kind == 'no size':
        state['void_embedding.weight'] = torch.zeros(1, 999)
    return state


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('another model', 'no FC-CLIP checkpoint'),
        ('no size', 'no FC-CLIP checkpoint'),
        ('a name missing', 'decoder.query_feat.weight'),
        ('a shape wrong', 'decoder.norm.bias: (7,), expected (256,)'),
        ('a name unknown', 'extra.weight'),
    ],
)
def test_something_else_is_refused_and_nothing_is_written(
    kind, message, convert, tmp_path, capsys
):
    with pytest.raises(SystemExit) as error:
        convert(broken(kind))
    assert message in str(error.value) + capsys.readouterr().out
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize('config', ['fcclip_r101_coco', 'fcclip_r50x4_zs-ade20k'])
def test_a_file_of_another_size_than_asked_for_is_refused(convert, tmp_path, config):
    state = empty(official_shapes('r50'))
    with pytest.raises(SystemExit, match=f'size of fcclip_r50_coco, not of {config}'):
        convert(state, '--config', config)
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.slow
def test_without_clip_the_message_says_how_to_give_it(convert, tmp_path):
    state = empty(official_shapes('r50'))
    del state[TEXT + 'text_projection']
    with pytest.raises(SystemExit, match=r'RN50-quickgelu.*no\.pt.*--clip FILE'):
        convert(state, '--clip', str(tmp_path / 'no.pt'))
    assert not (tmp_path / 'out.pth').exists()
