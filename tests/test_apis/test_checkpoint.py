"""Checkpoints: what MMEngine writes loads, what could run code does not."""

import os
import pickle
import re

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from safetensors.torch import save_file
from torch import nn

from mmovseg.apis.checkpoint import load_checkpoint, read_checkpoint


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)

    def forward(self, inputs, mode='loss'):
        return dict(loss=self.linear(torch.stack(inputs)).square().mean())


class CallsSystem:
    def __reduce__(self):
        return os.system, ('echo code has run > /dev/null; false',)


class TakesMethod:
    def __init__(self, owner, name):
        self.arguments = (owner, name)

    def __reduce__(self):
        return getattr, self.arguments


def test_checkpoint_of_a_runner_loads(tmp_path):
    """With message hub, optimizer and schedule: histories, numpy scalars, arrays."""
    runner = Runner(
        Toy(),
        str(tmp_path),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.randn(2)) for _ in range(4)],
            sampler=dict(type='DefaultSampler', shuffle=True),
            batch_size=2,
        ),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=[dict(type='MultiStepLR', milestones=[1])],
        train_cfg=dict(by_epoch=True, max_epochs=1),
        experiment_name='test_checkpoint_of_a_runner_loads',
        default_scope='mmovseg',
    )
    runner.train()
    fresh = Toy()
    checkpoint = load_checkpoint(fresh, tmp_path / 'epoch_1.pth')
    assert torch.equal(fresh.linear.weight, runner.model.linear.weight.cpu())
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.data[0].shape == (2,)


@pytest.mark.parametrize('wrap', [dict, lambda x: dict(state_dict=x, meta={})])
def test_prefix_of_wrapped_models_is_dropped(tmp_path, wrap):
    model = Toy()
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    torch.save(wrap(state), tmp_path / 'a.pth')
    fresh = Toy()
    load_checkpoint(fresh, tmp_path / 'a.pth')
    assert torch.equal(fresh.linear.weight, model.linear.weight)


def test_safetensors_load(tmp_path):
    model = Toy()
    save_file(model.state_dict(), tmp_path / 'a.safetensors')
    fresh = Toy()
    load_checkpoint(fresh, tmp_path / 'a.safetensors')
    assert torch.equal(fresh.linear.weight, model.linear.weight)


@pytest.mark.parametrize(
    'code, name',
    [
        (CallsSystem(), 'system'),
        (TakesMethod(HistoryBuffer, '__init__'), 'getattr'),
        (TakesMethod(np.ndarray, 'tofile'), 'getattr'),
        (nn.Linear(2, 2), 'Linear'),
    ],
)
def test_code_is_refused_and_the_opt_in_is_named(tmp_path, code, name, monkeypatch):
    path = tmp_path / 'bad.pth'
    torch.save(dict(state_dict=Toy().state_dict(), meta=code), path)
    ran = []
    monkeypatch.setattr(os, 'system', ran.append)
    with pytest.raises(ValueError, match='trust_checkpoint=True') as error:
        load_checkpoint(Toy(), path)
    assert 'bad.pth is refused' in str(error.value)
    assert name in str(error.value)
    assert not ran


def test_plain_pickle_is_refused(tmp_path):
    path = tmp_path / 'bad.pkl'
    path.write_bytes(pickle.dumps(CallsSystem(), protocol=2))
    with pytest.raises(ValueError, match='refused'):
        read_checkpoint(path)


def test_trusted_code_runs(tmp_path):
    model = Toy()
    torch.save(
        dict(state_dict=model.state_dict(), meta=nn.Linear(2, 2)), tmp_path / 'a'
    )
    fresh = Toy()
    with pytest.warns(UserWarning, match='can run any code'):
        checkpoint = load_checkpoint(fresh, tmp_path / 'a', trust_checkpoint=True)
    assert isinstance(checkpoint['meta'], nn.Linear)
    assert torch.equal(fresh.linear.weight, model.linear.weight)


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_damaged_files_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(FileNotFoundError, match=name):
        read_checkpoint(path)
    path.write_bytes(b'')
    with pytest.raises(ValueError, match=rf'{name} is empty'):
        read_checkpoint(path)
    path.write_bytes(b'<html>not found</html>')
    with pytest.raises(ValueError, match=rf'{name} is .*no checkpoint'):
        read_checkpoint(path)
    if name == 'a.pth':
        torch.save(Toy().state_dict(), path)
    else:
        save_file(Toy().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=rf'{name} is damaged'):
        read_checkpoint(path)


@pytest.mark.parametrize('content', [[1, 2], dict(a=1), dict(state_dict={}), 'text'])
def test_files_without_weights_are_refused(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth holds no weights'):
        load_checkpoint(Toy(), tmp_path / 'a.pth')


def test_another_model_is_refused_with_a_list(tmp_path):
    state = Toy().state_dict()
    state['linear.bias'] = torch.zeros(4)
    state['head.weight'] = state.pop('linear.weight')
    torch.save(state, tmp_path / 'a.pth')
    model = Toy()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match='another model') as error:
        load_checkpoint(model, tmp_path / 'a.pth')
    message = str(error.value)
    assert 'linear.bias: (4,) in the file, (3,) here' in message
    assert 'missing in the file (1):\n    linear.weight' in message
    assert 'not in the model (1):\n    head.weight' in message
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_long_lists_are_cut(tmp_path):
    torch.save({f'w{i}': torch.zeros(1) for i in range(40)}, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='and 30 more'):
        load_checkpoint(Toy(), tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('name', 'tool'),
    [
        ('light_weight_decoder.object_kernels.weight', 'eovseg_to_mmovseg'),
        ('clip_adapter.prompt_learner.prefix_prompt', 'deop_to_mmovseg'),
        ('stem.conv1.weight', 'deop_to_mmovseg'),
    ],
)
def test_official_checkpoint_names_the_converter(tmp_path, name, tool):
    torch.save(dict(model={name: torch.zeros(1)}), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=tool):
        load_checkpoint(Toy(), tmp_path / 'a.pth')


def test_allowed_weights_may_be_missing(tmp_path):
    model = Toy()
    torch.save({'linear.weight': model.linear.weight.detach()}, tmp_path / 'a.pth')
    fresh = Toy()
    bias = fresh.linear.bias.clone()
    with pytest.raises(ValueError, match='missing'):
        load_checkpoint(fresh, tmp_path / 'a.pth')
    load_checkpoint(fresh, tmp_path / 'a.pth', allow_missing=['linear.b'])
    assert torch.equal(fresh.linear.weight, model.linear.weight)
    assert torch.equal(fresh.linear.bias, bias)


@pytest.mark.parametrize('protocol', [2, 4])
def test_a_pickle_of_arrays_loads_as_tensors(tmp_path, protocol):
    """What detectron2's model zoo has."""
    path = tmp_path / 'R-103.pkl'
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    content = {'model': {'stem.conv1.weight': weight}, '__author__': 'somebody'}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_checkpoint(path)
    assert torch.equal(found['model']['stem.conv1.weight'], torch.tensor(weight))
    assert found['__author__'] == 'somebody'


def test_a_pickle_of_arrays_with_code_is_refused(tmp_path):
    path = tmp_path / 'R-103.pkl'
    content = {'model': {'weight': np.zeros(2)}, 'more': CallsSystem()}
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r'R-103.pkl is refused.*posix.system'):
        read_checkpoint(path)


class Normed(nn.Module):
    """Has an integer buffer, and one that is infinite by design."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        mask = torch.full((2, 2), float('-inf')).triu(1)
        self.register_buffer('mask', mask)


def changed(name, value):
    return {**Normed().state_dict(), name: value}


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        (changed('norm.weight', torch.tensor([1.0, torch.nan])), 'NaN.*norm.weight: 1'),
        (changed('norm.bias', torch.tensor([1.0, -torch.inf])), 'NaN.*norm.bias: 1'),
        (
            changed('norm.bias', torch.full((2,), 1e300, dtype=torch.float64)),
            'norm.bias: 2 of 2',
        ),
        (changed('mask', torch.full((2, 2), -torch.inf)), 'mask: 3 of 4'),
        (changed('norm.weight', torch.ones(2).int()), 'norm.weight: int32 in the file'),
        (changed('norm.weight', torch.ones(2).bool()), 'norm.weight: bool in the file'),
        (changed('norm.weight', torch.ones(2).cfloat()), 'norm.weight: .*complex64'),
        (changed('norm.num_batches_tracked', torch.tensor(1.5)), 'float32 in the file'),
        (changed('norm.weight', torch.ones(2).to_sparse()), 'weight: .*sparse_coo'),
        (changed('norm.weight', torch.ones(2, device='meta')), 'weight: .*meta'),
        (changed('norm.weight', 'text'), 'norm.weight: str'),
        (changed('module.mask', torch.ones(2, 2)), 'mask twice'),
        (
            changed(
                'norm.weight',
                torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.quint8),
            ),
            'weight: .*quint8',
        ),
    ],
)
def test_weights_that_are_no_weights_are_named(tmp_path, state, message):
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=state), path)
    model = Normed()
    with pytest.raises(ValueError, match=r'a\.pth') as error:
        load_checkpoint(model, path)
    assert re.search(message, str(error.value).replace('\n', ' '))
    assert torch.equal(model.norm.weight, torch.ones(2))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_load(tmp_path, dtype):
    """Also where all weights were converted, the counter of batches too."""
    state = {key: value.to(dtype) for key, value in Normed().state_dict().items()}
    torch.save(state, tmp_path / 'a.pth')
    model = Normed()
    load_checkpoint(model, tmp_path / 'a.pth')
    assert model.norm.weight.dtype == torch.float32 and model.norm.weight.sum() == 2


def test_names_in_a_file_do_not_move_the_terminal(tmp_path):
    state = {**Toy().state_dict(), 'x\x1b[2J.weight': torch.zeros(1)}
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='not in the model') as caught:
        load_checkpoint(Toy(), tmp_path / 'a.pth')
    assert r'x\x1b[2J.weight' in str(caught.value)
    assert '\x1b' not in str(caught.value)
