"""What the converters share: they report honestly and write all or nothing."""

import re

import pytest
import torch

from mmovseg.apis.conversion import check, read, rename_all, report, save

RULES = [(r'a\.(\d)\.', r'b.x\1.'), (r'a\.', 'c.')]


def test_the_first_rule_decides_and_the_rest_is_dropped_or_unknown():
    one, two, three, four = (torch.full((), float(i)) for i in range(4))
    official = {'a.3.weight': one, 'a.w': two, 'old.w': three, 'new.a.1.w': four}
    converted, dropped, unknown = rename_all(official, RULES, re.compile(r'old\.'))
    assert converted == {'b.x3.weight': one, 'c.w': two}
    assert dropped == ['old.w']
    assert unknown == ['new.a.1.w']


def test_check_lists_missing_wrong_and_homeless_names():
    converted = {'a': torch.zeros(2, 3), 'b': torch.zeros(1), 'c': torch.zeros(())}
    missing, wrong = check(converted, {'a': (2, 3), 'b': (4,), 'd': (1,)})
    assert missing == ['d']
    assert wrong == ['b: (1,), expected (4,)', 'c: not in the model']


def test_report_counts_all_and_shows_twenty():
    names = [f'n{i}.w' for i in range(23)]
    text = report(5, ['x.y.z', 'x.y.w', 'u'], dict(unknown=names, missing=[]))
    assert 'mapped   5' in text
    assert "dropped  3 {'x.y': 2, 'u': 1}" in text
    assert re.search(r'unknown +23', text)
    assert re.search(r'missing +0', text)
    assert 'n19.w' in text and 'n20.w' not in text
    assert '... and 3 more' in text


def test_names_in_a_report_do_not_move_the_terminal():
    text = report(1, ['a.b\x1b'], {'unknown': ['c\x1b[2J']})
    assert r'c\x1b[2J' in text and '\x1b' not in text


def test_files_of_detectron2_are_read_and_others_refused(tmp_path):
    witness = tmp_path / 'ran'

    class Evil:
        def __reduce__(self):
            return (open, (str(witness), 'w'))

    torch.save({'model': {'w': torch.ones(2)}, 'iteration': 7}, tmp_path / 'good.pth')
    assert read(tmp_path / 'good.pth')['w'].tolist() == [1, 1]
    torch.save({'model': Evil()}, tmp_path / 'evil.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'evil.pth').read_bytes()[:100])
    (tmp_path / 'text.pth').write_text('hello')
    for name in ('evil.pth', 'cut.pth', 'text.pth', 'absent.pth'):
        with pytest.raises((OSError, ValueError), match=name):
            read(tmp_path / name)
    assert not witness.exists()


def test_saving_is_all_or_nothing(tmp_path):
    path = tmp_path / 'new' / 'x.pth'
    save(path, dict(state_dict={'w': torch.ones(1)}))
    before = path.read_bytes()
    with pytest.raises(Exception, match='pickle'):
        save(path, dict(state_dict=lambda: None))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ['x.pth']
