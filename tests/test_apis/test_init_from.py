"""What a training takes over from the files of earlier stages."""

import pytest
import torch
from torch import nn

from mmovseg.apis.init_from import find_shared_weights


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.text = nn.Linear(2, 3)
        self.head = nn.Linear(3, 1)


@pytest.fixture
def save(tmp_path):
    def save(name, **weights):
        state = {key.replace('__', '.'): value for key, value in weights.items()}
        torch.save(dict(state_dict=state), tmp_path / name)
        return tmp_path / name

    return save


def test_the_report_says_what_comes_from_where(save):
    model = Toy()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = save(
        'a.pth',
        text__weight=torch.full((3, 2), 1.0),
        old__x=torch.ones(1),
        old__y=torch.ones(1),
    )
    second = save('b.pth', text__bias=torch.full((3,), 2.0))
    weights, report = find_shared_weights(model, [first, second])
    assert {k: v.flatten()[0].item() for k, v in weights.items()} == {
        'text.weight': 1,
        'text.bias': 2,
    }
    assert report.splitlines()[1:] == [
        f'  text: 1 from {first}, 1 from {second}',
        '  head: 2 as built',
        f'  of no use here, in {first}: 1 old.x, 1 old.y',
    ]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_files_that_do_not_fit_are_refused(save):
    good = save('good.pth', head__bias=torch.ones(1))
    wide = save('wide.pth', head__bias=torch.ones(1), text__bias=torch.ones(4))
    other = save('other.pth', clip_adapter__x=torch.ones(1))
    with pytest.raises(
        ValueError, match=r'text\.bias: \(4,\) in the file, \(3,\) here'
    ):
        find_shared_weights(Toy(), [good, wide])
    with pytest.raises(ValueError, match=r'other\.pth(.|\n)*deop_to_mmovseg'):
        find_shared_weights(Toy(), [good, other])


def test_files_that_contradict_each_other_are_refused(save):
    """Such as a prompt, and proposals that were not started from it."""
    first = save('a.pth', text__bias=torch.zeros(3), head__bias=torch.ones(1))
    same = save('b.pth', text__bias=torch.zeros(3), text__weight=torch.ones(3, 2))
    weights, _ = find_shared_weights(Toy(), [first, same])
    assert set(weights) == {'text.bias', 'text.weight', 'head.bias'}
    other = save('c.pth', text__bias=torch.ones(3))
    with pytest.raises(ValueError, match=r'c\.pth(.|\n)*text\.bias, as in .*b\.pth'):
        find_shared_weights(Toy(), [first, same, other])
