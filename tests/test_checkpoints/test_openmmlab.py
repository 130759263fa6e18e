"""MMEngine reads checkpoints with our reader, whatever their address is."""

import hashlib
import io
import os

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner import load_checkpoint
from torch import nn

import mmovseg.engine  # noqa: F401 (as any config of ours does)
from mmovseg.checkpoints import CheckpointError, DownloadError
from mmovseg.checkpoints.openmmlab import find_url, load_from_mmovseg


class Hostile:
    def __reduce__(self):
        return os.system, ('touch code-has-run',)


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Toy(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layer = nn.Linear(2, 1)


STATE = Toy().state_dict()


@pytest.fixture(autouse=True)
def _hub(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    (tmp_path / 'hub/checkpoints').mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / 'code-has-run').exists()


def test_a_url_is_fetched_once_and_no_pickle_is_obeyed(serve):
    good, bad = (
        saved(dict(state_dict=STATE)),
        saved(dict(state_dict=STATE, x=Hostile())),
    )
    url, asked = serve({'/good.pth': good, '/bad.pth': bad})
    model = Toy()
    load_checkpoint(model, f'{url}/good.pth')
    assert torch.equal(model.layer.weight, STATE['layer.weight'])
    assert asked == ['/good.pth']
    with pytest.raises(CheckpointError, match=r'bad\.pth is refused.*system'):
        load_checkpoint(model, f'{url}/bad.pth')


def test_a_file_in_the_cache_of_torch_must_prove_what_it_is(serve, tmp_path):
    other = saved(dict(state_dict={'layer.weight': torch.zeros(1, 2)}))
    content = saved(dict(state_dict=STATE))
    name = f'toy-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    url, asked = serve({'/toy.pth': content, f'/{name}': content})
    for stale in ('toy.pth', name):
        (tmp_path / 'hub/checkpoints' / stale).write_bytes(other)
    for _ in range(2):  # the second time there is a proven file
        for fetched in ('toy.pth', name):
            found = load_from_mmovseg(f'{url}/{fetched}')['state_dict']
            assert torch.equal(found['layer.weight'], STATE['layer.weight'])
    assert sorted(asked) == sorted(['/toy.pth', '/toy.pth', f'/{name}'])


def test_pretrained_of_init_cfg(serve, tmp_path):
    url, _ = serve({'/x.pth': saved(STATE), '/gone.pth': b'<html>sorry</html>'})
    model = Toy(dict(type='Pretrained', checkpoint=f'{url}/x.pth'))
    model.init_weights()
    assert torch.equal(model.layer.weight, STATE['layer.weight'])
    path = tmp_path / 'bad.pth'
    torch.save(dict(state_dict=STATE, x=Hostile()), path)
    for name, message in ((f'{url}/gone.pth', 'page of the web'), (path, 'refused')):
        with pytest.raises(CheckpointError, match=message):
            Toy(dict(type='Pretrained', checkpoint=str(name))).init_weights()
    with pytest.raises(DownloadError, match='refused'):
        Toy(dict(type='Pretrained', checkpoint='http://127.0.0.1:9/x')).init_weights()


def test_model_zoos_stand_for_their_urls(monkeypatch):
    known = {'toy': 'http://127.0.0.1/toy.pth', 'local': 'toy.pth'}
    for zoo in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(mmengine_checkpoint, zoo, lambda: known)
    monkeypatch.setenv('MMENGINE_HOME', '/home')
    for scheme in ('torchvision', 'modelzoo', 'open-mmlab', 'openmmlab', 'mmcls'):
        assert find_url(f'{scheme}://toy') == 'http://127.0.0.1/toy.pth'
        with pytest.raises(CheckpointError, match='no such model'):
            find_url(f'{scheme}://other')
    assert find_url('open-mmlab://local') == '/home/toy.pth'
    with pytest.raises(CheckpointError, match='pavi'):
        find_url('pavi://toy')
    assert find_url('a/b.pth') == 'a/b.pth'


@pytest.mark.parametrize('name', ['ftp://127.0.0.1/x', 'file:///x', 'nonsense://x'])
def test_other_addresses_are_named(name):
    with pytest.raises((CheckpointError, DownloadError), match=name):
        load_from_mmovseg(name)


def test_the_config_in_a_checkpoint_is_not_run(tmp_path):
    """MMEngine's runner hands it to Config.fromstring when it resumes."""
    torch.save(dict(state_dict=STATE, meta=dict(config='1 / 0', iter=3)), 'x.pth')
    assert load_from_mmovseg('x.pth')['meta'] == {'iter': 3}
