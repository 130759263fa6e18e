import pytest

from projects.shapeworld import choose_margin
from projects.shapeworld.choose_margin import Tried, choose, main


def test_the_best_harmonic_mean_over_all_numbers_is_chosen():
    tried = [
        Tried(True, 0.0, 0, 99, 99),  # without examples
        *(Tried(True, 0.1, count, 40, 50) for count in (1, 5)),
        *(Tried(True, 0.2, count, 45, 45) for count in (1, 5)),
        *(Tried(count == 1, 0.4, count, 90, 10) for count in (1, 5)),
    ]
    assert choose(tried) == 0.2
    assert tried[-1].quality == pytest.approx(18)


@pytest.mark.slow
def test_margins_are_measured_on_stand_ins_and_others(monkeypatch, capsys):
    monkeypatch.setattr(choose_margin, 'MARGINS', (0.05, 5.0))
    monkeypatch.setattr(choose_margin, 'COUNTS', (1,))
    monkeypatch.setattr(choose_margin, 'STAND_INS', ['sand', 'red cross'])
    monkeypatch.setattr(choose_margin, 'WORDS', ['blorp', 'zundle'])
    words = ['eovseg_tiny_shapeworld', 'shapeworld', '--num-pictures', '6']
    # A name that leads by far attracts what is not its own.
    assert main([*words, '--image-size', '96']) == 0.05
    rows = [x.split(' | ') for x in capsys.readouterr().out.splitlines()]
    assert [x[0] for x in rows[2:8]] == ['| named'] * 3 + ['| a word'] * 3
    named, unnamed = rows[2:5], rows[5:8]
    assert float(named[2][4]) < float(named[1][4])  # others
    # Without examples such a word finds nothing.
    assert float(named[0][3]) > 10 > float(unnamed[0][3])
    assert rows[-1] == ['Chosen: 0.05; the default of mix_rows is 0.05.']
