"""Files are known by what they hold; what is no checkpoint is named."""

import os
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmovseg.apis import read_checkpoint
from mmovseg.checkpoints import CheckpointError, read_file

STATE = {'a': torch.arange(3.0)}


@pytest.mark.parametrize('name', ['x.pth', 'x.pkl', 'x.bin', 'x'])
def test_the_name_of_a_file_does_not_matter(tmp_path, name):
    path = tmp_path / name
    torch.save(STATE, path)
    assert torch.equal(read_file(path, name)['a'], STATE['a'])
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_file(path, name)['a'], STATE['a'])
    save_file(STATE, path)
    assert torch.equal(read_file(path, name)['a'], STATE['a'])


def test_tensors_do_not_follow_the_file(tmp_path):
    path = tmp_path / 'x.safetensors'
    save_file({'a': torch.ones(5000)}, path)
    found = read_file(path, 'x')['a']
    with path.open('r+b') as file:
        file.seek(-4096, 2)
        file.write(bytes(4096))
    assert found.sum() == 5000


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'<!DOCTYPE html><html>', 'a page of the web'),
        (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
        (b'\x1f\x8b\x08\x00', 'gzip'),
        (b'some text', 'neither torch.save, safetensors nor a pickle'),
        (b'PK\x03\x04 cut short', 'damaged or cut short'),
        (b'', 'is empty'),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        read_file(path, 'what the user typed')
    assert 'what the user typed' in str(error.value)


def test_other_zip_files_are_named(tmp_path):
    path = tmp_path / 'x.pth'
    np.savez(tmp_path / 'x.npz', a=np.ones(2))
    with pytest.raises(CheckpointError, match='no weights'):
        read_file(tmp_path / 'x.npz', 'x')
    torch.jit.script(nn.Linear(2, 2)).save(path)
    for trust in (False, True):
        with pytest.raises(CheckpointError, match=r'TorchScript.*state_dict'):
            read_file(path, 'x', trust=trust)
    torch.save(STATE, tmp_path / 'small.pth')
    with (
        zipfile.ZipFile(tmp_path / 'small.pth') as small,
        zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as large,
    ):
        for name in small.namelist():
            large.writestr(name, small.read(name))
        large.writestr('archive/data/1', bytes(2**20))
    with pytest.raises(CheckpointError, match='unpacks'):
        read_file(path, 'x')


def test_folders_and_pipes_are_named(tmp_path):
    with pytest.raises(CheckpointError, match='a folder'):
        read_file(tmp_path, 'x')
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(CheckpointError, match='no regular file'):
        read_file(tmp_path / 'pipe', 'x')


@pytest.mark.parametrize('wrap', [lambda x: x, lambda x: {'model': x, 'epoch': 3}])
def test_a_whole_model_is_refused_with_advice_that_works(tmp_path, wrap):
    path = tmp_path / 'x.pth'
    model = nn.Linear(2, 3)
    torch.save(wrap(model), path)
    with pytest.raises(CheckpointError, match=r'Linear.*trust_checkpoint=True'):
        read_file(path, 'x')
    with pytest.warns(UserWarning, match='can run any code'):
        checkpoint = read_checkpoint(path, trust_checkpoint=True)
    state = checkpoint.get('state_dict', checkpoint.get('model'))
    torch.save(state, path)
    assert torch.equal(read_file(path, 'x')['weight'], model.weight)


def test_attributes_of_a_file_replace_no_method(tmp_path):
    state = OrderedDict(STATE)
    state.get = 'not to be called'
    state._metadata = {'': {'version': 2}}
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    found = read_file(tmp_path / 'x.pth', 'x')['state_dict']
    assert found.get('b') is None
    assert found._metadata == {'': {'version': 2}}
