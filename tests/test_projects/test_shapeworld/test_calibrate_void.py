import pytest

from mmovseg.shapeworld.drawing import draw_numbered
from projects.shapeworld import calibrate_void
from projects.shapeworld.calibrate_void import calibrate, main


def test_the_value_of_the_best_quality_is_chosen(monkeypatch, capsys):
    grid = dict(void_scale=(1.0, 1e6), beta=(0.5, 1.0))
    monkeypatch.setattr(calibrate_void, 'GRID', grid)
    words = ['eovseg_tiny_shapeworld', 'shapeworld', '--num-pictures', '2']
    chosen = main([*words, '--image-size', '96'])
    assert chosen['void_scale'] == 1  # with the other nearly everything is void
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith('| void_scale (chosen) | 1 | ')
    assert float(rows[3].split('|')[3]) < float(rows[2].split('|')[3])
    assert rows[-1].startswith('--cfg-options model.ensemble.void_scale=1 ')


def test_wrong_models():
    with pytest.raises(SystemExit, match='holds the weights of another model'):
        main(['deop_tiny_shapeworld-zs', 'shapeworld'])


def test_pictures_show_seen_classes_alone():
    from mmovseg.shapeworld.drawing import CLASSES, SEEN

    assert calibrate.__doc__
    for number in range(5):
        labels = draw_numbered(41, 'train', number, 64).labels
        assert {CLASSES[x] for x in labels} <= set(SEEN)
