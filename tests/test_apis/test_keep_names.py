"""The presence filter for users: inferencer and commands."""

import json

import pytest

from mmovseg.apis import OVSegInferencer
from mmovseg.apis.export import export_program
from mmovseg.apis.images import write_png
from mmovseg.cli.main import main
from mmovseg.shapeworld.drawing import draw_numbered


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp('photos') / 'drawing.png'
    write_png(path, draw_numbered(3, 'val', 1, 192).image)
    return str(path)


def load(**options):
    return OVSegInferencer(
        'eovseg_tiny_shapeworld', 'shapeworld', show_progress=False, **options
    )


def test_inferencer(photo):
    everything = {x.name for x in load().segment(photo).segments}
    few = load(keep_names=2)
    names = {x.name for x in few.segment(photo).segments}
    assert 1 <= len(names) <= 2 < len(everything)
    with pytest.raises(ValueError, match='without presence_filter'):
        export_program(few.model)
    with pytest.raises(ValueError, match='num_names must be at least 1'):
        load(keep_names=0)


def test_predict(photo, tmp_path, capsys):
    words = ['predict', photo, '--model', 'tiny', '--keep-names', '1', '--json']
    assert main([*words, '--out', str(tmp_path)]) == 0
    [result] = json.loads(capsys.readouterr().out)['photos']
    assert len({x['name'] for x in result['segments']}) == 1


@pytest.mark.parametrize('command', ['predict', 'label'])
def test_a_wrong_number(command, photo, tmp_path, capsys):
    words = [command, photo, '--classes', 'a', '--out', str(tmp_path / 'x')]
    with pytest.raises(SystemExit, match='2'):
        main([*words, '--keep-names', '0'])
    assert '--keep-names must be at least 1, got 0' in capsys.readouterr().err


def test_labels_made_otherwise_are_not_mixed(photo, tmp_path, capsys):
    words = ['label', photo, '--classes', 'circle, stuff: sand', '--model', 'tiny']
    words += ['--out', str(tmp_path / 'labels')]
    assert main([*words, '--keep-names', '1']) == 0
    assert main(words) == 3  # results that cannot be written there
    assert 'keep_names' in capsys.readouterr().err
