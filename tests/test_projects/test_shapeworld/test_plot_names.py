import json

import pytest

from projects.shapeworld.plot_names import main, plot

ROWS = [
    dict(names=n, keep=k, ms=9.0, **{'panoptic/PQ': 50.0 - n / 100 * (k is None)})
    for n in (58, 500)
    for k in (None, 20)
]


def test_a_line_per_filter_over_the_names():
    figure = plot({'a': dict(rows=ROWS), 'b': dict(rows=ROWS)})
    assert len(figure.axes) == 8
    all_names, kept = figure.axes[0].lines
    assert all_names.get_xdata().tolist() == [58, 500]
    assert list(all_names.get_ydata()) == pytest.approx([49.42, 45.0])
    assert kept.get_label() == '20 kept' and set(kept.get_ydata()) == {50.0}
    assert not len(figure.axes[2].lines[0].get_xdata())  # no recall in these rows


def test_files(tmp_path):
    card, picture = tmp_path / 'names_x.json', tmp_path / 'x.png'
    card.write_text(json.dumps(dict(rows=ROWS)))
    main([str(picture), str(card)])
    assert picture.read_bytes().startswith(b'\x89PNG')
    with pytest.raises(SystemExit):
        main([str(card), str(card)])  # which would lose the first card
    assert json.loads(card.read_text()) == dict(rows=ROWS)
    card.write_text('[]')
    with pytest.raises(SystemExit, match='has no rows of names'):
        main([str(picture), str(card)])
