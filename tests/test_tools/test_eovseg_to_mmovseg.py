"""The converter of official EOV-Seg checkpoints, on files with their real names."""

import subprocess
import sys

import pytest
import torch
from golden_utils import ROOT, converter, official_shapes
from mmengine.config import Config

from mmovseg.models.clip import resolve_model_name
from mmovseg.registry import MODELS

# Models of their real sizes, of which names and shapes count.
pytestmark = pytest.mark.usefixtures('without_draws')
CONFIGS = {
    's': 'eovseg_r50_coco',
    'm': 'eovseg_r50x4_coco',
    'l': 'eovseg_convnext-l_coco',
}


def empty(shapes):
    """Return tensors of the right shapes that take no memory."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def our_shapes(size):
    """Return the shapes of our model, built without memory where possible."""
    path = ROOT / 'configs/eovseg' / f'{CONFIGS[size]}.py'
    model = Config.fromfile(path).model
    for part in (model.backbone, model.spatial_backbone, model.text_classifier):
        part.pretrained = None
    return {k: v.shape for k, v in MODELS.build(model).state_dict().items()}


@pytest.mark.parametrize('size', ['s', 'm', 'l'])
def test_every_official_name_is_mapped_or_known_to_be_unused(size):
    shapes = official_shapes(size)
    converted, dropped, unknown = converter.convert(empty(shapes))
    assert not unknown
    assert len(converted) + len(dropped) == len(shapes)
    unused = [name for name in dropped if not name.startswith('vit_backbone.')]
    assert unused == ['light_weight_decoder.criterion.empty_weight']
    missing, wrong = converter.check(converted, our_shapes(size))
    assert missing == []
    assert wrong == []


def test_a_config_name_exists_for_each_size():
    for name in converter.CONFIGS.values():
        assert (ROOT / 'configs/eovseg' / f'{name}.py').is_file()
    assert resolve_model_name('RN50x4-quickgelu', 'openai') == 'RN50x4-quickgelu'


def run(*args):
    command = [sys.executable, ROOT / 'tools/model_converters/eovseg_to_mmovseg.py']
    return subprocess.run([*command, *args], capture_output=True, text=True)


@pytest.mark.slow
def test_converted_file_loads_without_a_network(tmp_path, monkeypatch):
    from mmovseg.apis import init_model

    shapes = official_shapes('s')
    # Every tensor repeats one stored number: the file is small.
    values = {True: torch.tensor(7), False: torch.tensor(0.5)}  # counters are whole
    official = {
        name: values[name.endswith('num_batches_tracked')].expand(shape)
        for name, shape in shapes.items()
    }
    torch.save({'model': official, 'iteration': 7}, tmp_path / 'official.pth')
    result = run(tmp_path / 'official.pth', tmp_path / 'ours.pth')
    assert result.returncode == 0, result.stderr
    assert 'eovseg_r50_coco' in result.stdout
    for word in ('mapped', 'dropped', 'missing'):
        assert word in result.stdout
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    model = init_model('eovseg_r50_coco', tmp_path / 'ours.pth')
    assert all((p == 0.5).all() for p in model.parameters())


def broken(shapes, kind):
    state = empty(shapes)
    if kind == 'another model':
        return {'backbone.conv1.weight': torch.zeros(3)}
    if kind == 'a name missing':
        del state['light_weight_decoder.object_kernels.weight']
    if kind == 'a shape wrong':
        state['lite_aggr.loc_conv.bias'] = torch.zeros(7)
    if kind == 'a name unknown':
        state['extra.weight'] = torch.zeros(1)
    return state


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        ('another model', 'no EOV-Seg checkpoint'),
        ('a name missing', 'decoder.object_kernels.weight'),
        ('a shape wrong', 'neck.aggregator.out.bias: (7,), expected (256,)'),
        ('a name unknown', 'extra.weight'),
    ],
)
def test_something_else_is_refused_and_nothing_is_written(
    kind, message, tmp_path, monkeypatch, capsys
):
    state = broken(official_shapes('s'), kind)
    monkeypatch.setattr(converter, 'read', lambda path: state)
    argv = ['convert', str(tmp_path / 'in.pth'), str(tmp_path / 'out.pth')]
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit) as error:
        converter.main()
    assert message in str(error.value) + capsys.readouterr().out
    assert not (tmp_path / 'out.pth').exists()
