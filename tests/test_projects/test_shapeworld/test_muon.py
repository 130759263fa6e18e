import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmovseg.engine import refuse_muon
from projects.shapeworld.muon import Muon, orthogonalise


@pytest.mark.parametrize('shape', [(3, 4, 4), (2, 3, 8), (2, 8, 3)])
def test_singular_values_come_near_one_and_vectors_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64) * 5
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalise(matrices)
    values = left.mT @ found @ right.mT
    diagonal = values.diagonal(dim1=1, dim2=2)
    assert (diagonal > 0.5).all() and (diagonal < 1.4).all()
    torch.testing.assert_close(values, torch.diag_embed(diagonal))
    assert orthogonalise(torch.zeros(1, 2, 3)).eq(0).all()


def test_a_step_is_the_definition():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(4, 8, dtype=torch.float64))
    before, mean = weight.detach().clone(), torch.zeros(4, 8, dtype=torch.float64)
    optimizer = Muon([weight], lr=0.1, weight_decay=0.5, momentum=0.9)
    for _ in range(2):
        gradient = torch.randn(4, 8, dtype=torch.float64)
        mean = 0.9 * mean + 0.1 * gradient
        update = orthogonalise((0.9 * mean + 0.1 * gradient)[None])[0]
        before = before * (1 - 0.05) - 0.1 * 0.2 * 8**0.5 * update
        weight.grad = gradient
        optimizer.step()
        torch.testing.assert_close(weight.data, before)


def test_joint_projections_are_three_matrices():
    torch.manual_seed(0)
    joint = nn.Parameter(torch.zeros(12, 4))
    parts = [nn.Parameter(torch.zeros(4, 4)) for _ in range(3)]
    joint.grad = torch.randn(12, 4)
    for part, gradient in zip(parts, joint.grad.chunk(3), strict=True):
        part.grad = gradient.clone()
    Muon([joint], lr=1.0).step()
    Muon(parts, lr=1.0).step()
    assert joint.abs().sum() > 0
    torch.testing.assert_close(joint.data, torch.cat([part.data for part in parts]))


def test_it_trains_in_a_runner_and_repeats_after_loading():
    torch.manual_seed(0)
    model = nn.Linear(6, 5, bias=False)
    config = dict(type='OptimWrapper', optimizer=dict(type='Muon', lr=0.1))
    wrapper = build_optim_wrapper(model, config)
    data = torch.randn(40, 6)
    target = data @ torch.randn(6, 5)

    def train(steps):
        for _ in range(steps):
            loss = (model(data) - target).square().mean()
            wrapper.update_params(loss)
        return loss.item()

    first = train(1)
    saved = copy.deepcopy((wrapper.state_dict(), model.state_dict()))
    last = train(20)
    assert last < 0.7 * first
    model.load_state_dict(saved[1])
    wrapper = build_optim_wrapper(model, config)
    wrapper.load_state_dict(saved[0])
    assert train(20) == pytest.approx(last, rel=1e-6)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r'matrices, got a parameter of shape \(3,\)'):
        Muon([nn.Parameter(torch.zeros(3))])
    with pytest.raises(ValueError, match='got -1'):
        Muon([nn.Parameter(torch.zeros(3, 3))], lr=-1)


def test_without_the_project_the_name_says_where_it_is():
    with pytest.raises(ValueError, match=r'moved to projects\.shapeworld'):
        refuse_muon([nn.Parameter(torch.zeros(3, 3))], lr=1.0)
