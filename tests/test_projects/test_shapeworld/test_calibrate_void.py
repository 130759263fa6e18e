import numpy as np
import pytest
import torch

from mmovseg.apis import init_model
from mmovseg.shapeworld.drawing import SEEN, draw_numbered
from projects.shapeworld import calibrate_void
from projects.shapeworld.calibrate_void import (
    calibrate,
    check,
    extract,
    look,
    main,
    measure,
)


def test_the_value_of_the_best_quality_is_chosen(monkeypatch, capsys):
    grid = {'ensemble.void_scale': (1.0, 1e6), 'fusion.iou_thr': (0.5, 0.6)}
    monkeypatch.setattr(calibrate_void, 'GRID', grid)
    words = ['eovseg_tiny_shapeworld', 'shapeworld', '--num-pictures', '2']
    chosen = main([*words, '--image-size', '96'])
    assert chosen['ensemble.void_scale'] == 1  # with the other nearly all is void
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith('| ensemble.void_scale (chosen) | 1 | ')
    assert float(rows[3].split('|')[3]) < float(rows[2].split('|')[3])
    assert rows[-1].startswith('--cfg-options model.ensemble.void_scale=1 ')


def test_of_equally_good_values_the_model_keeps_its_own():
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    pictures = [draw_numbered(41, 'train', 0, 64)]
    grid = {'ensemble.void_scale': (0.999999, 1.0, 1.000001)}
    chosen, tried = calibrate(model, pictures, grid)
    assert len({x.quality for x in tried}) == 1
    assert chosen == {'ensemble.void_scale': 1}


def test_held_out_classes_are_those_that_the_model_was_not_trained_on():
    words = ['stuff: sand; beach', 'thing: red heart']
    options = {'model.train_vocabulary': words}
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld', cfg_options=options)
    pictures = [draw_numbered(41, 'train', number, 96) for number in range(4)]
    _, [tried] = calibrate(model, pictures, {'ensemble.beta': (1.0,)})
    text = model.encode_vocabulary(model.vocabulary)
    assert [SEEN[x] for x in text.seen.nonzero()] == ['sand', 'red heart']
    seen = [look(model, text, x, extract(model, x)) for x in pictures]
    quality = measure(model, text, seen)
    held_out = [
        x
        for name, x in zip(SEEN, quality, strict=True)
        if name not in ('sand', 'red heart')
    ]
    assert tried.held_out == pytest.approx(np.nanmean(held_out))
    assert tried.quality == pytest.approx(np.nanmean(quality))


def test_wrong_models():
    with pytest.raises(SystemExit, match='holds the weights of another model'):
        main(['deop_tiny_shapeworld-zs', 'shapeworld'])
    with pytest.raises(ValueError, match='is a Linear: take an EOV-Seg or an'):
        check(torch.nn.Linear(1, 1), 'a.py')


def test_pictures_show_seen_classes_alone():
    from mmovseg.shapeworld.drawing import CLASSES, SEEN

    assert calibrate.__doc__
    for number in range(5):
        labels = draw_numbered(41, 'train', number, 64).labels
        assert {CLASSES[x] for x in labels} <= set(SEEN)
