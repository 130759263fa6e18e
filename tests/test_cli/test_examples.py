"""Examples of classes on the command line."""

import json

import numpy as np
import pytest

from mmovseg.apis.images import write_png
from mmovseg.cli.main import main
from mmovseg.shapeworld.drawing import CLASSES, draw_sample
from mmovseg.vocabulary import Vocabulary


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A photo; a folder of examples with one of snow."""
    root = tmp_path_factory.mktemp('world')
    picture = draw_sample(np.random.RandomState(1), 96, {'snow', 'red cross'})
    write_png(root / 'photo.png', picture.image)
    (root / 'shown' / 'snow').mkdir(parents=True)
    mask = picture.segments == picture.labels.index(CLASSES.index('snow'))
    write_png(root / 'shown' / 'snow' / 'a.png', picture.image)
    write_png(root / 'shown' / 'snow' / 'a_mask.png', mask.astype(np.uint8) * 255)
    return root


def test_a_list_is_saved_with_examples_and_used(folder, tmp_path, capsys):
    saved, shown = tmp_path / 'names.zip', folder / 'shown'
    pair = f'snow={shown}/snow/a.png,{shown}/snow/a_mask.png'
    words = ['vocabulary', 'snow, red cross', '--examples', pair, str(shown)]
    assert main([*words, '--out', str(saved)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines() == ['thing: snow  (2 examples)', 'thing: red cross']
    assert Vocabulary.load(saved).num_examples == (2, 0)
    words = ['predict', str(folder / 'photo.png'), '--model', 'tiny', '--json']
    assert main([*words, '--out', str(tmp_path / 'a'), '--classes', str(saved)]) == 0
    first = json.loads(capsys.readouterr().out)['photos']
    names = ['--classes', 'snow, red cross', '--examples', pair, pair]
    assert main([*words, '--out', str(tmp_path / 'b'), *names]) == 0
    assert json.loads(capsys.readouterr().out)['photos'] == first


def test_labels_with_other_examples_are_not_mixed(folder, tmp_path, capsys):
    words = ['label', str(folder / 'photo.png'), '--classes', 'snow', '--model', 'tiny']
    words += ['--out', str(tmp_path / 'labels')]
    assert main([*words, '--examples', str(folder / 'shown')]) == 0
    assert main(words) == 3
    assert 'with other examples' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('word', 'message'),
    [
        ('snow', 'write NAME=IMAGE,MASK such as snow=photo.jpg,mask.png'),
        ('snow=a.jpg', 'write NAME=IMAGE,MASK'),
        ('sand=a.jpg,b.png', "There is no class 'sand'"),
        ('snow=a.jpg,b.png', 'a.jpg does not exist'),
        ('{root}', 'has no example'),
        ('{root}/lonely', 'a.png has no mask a_mask.png next to it'),
        ('{root}/mask', 'b_mask.png has no photo b.jpg next to it'),
    ],
)
def test_bad_examples(folder, word, message, capsys):
    (folder / 'lonely' / 'snow').mkdir(parents=True, exist_ok=True)
    (folder / 'lonely' / 'snow' / 'a.png').touch()
    empty = folder / 'empty' / 'b'
    empty.mkdir(parents=True, exist_ok=True)
    (folder / 'mask' / 'snow').mkdir(parents=True, exist_ok=True)
    (folder / 'mask' / 'snow' / 'b_mask.png').touch()
    for name in ('lonely', 'mask'):
        word = word.replace(f'{{root}}/{name}', str(folder / name))
    word = word.replace('{root}', str(folder / 'empty'))
    with pytest.raises(SystemExit, match=message):
        main(['vocabulary', 'snow, sky', '--examples', word])


def test_predict_ends_with_the_status_of_bad_options(folder, tmp_path, capsys):
    words = ['predict', str(folder / 'photo.png'), '--model', 'tiny']
    words += ['--classes', 'snow', '--out', str(tmp_path)]
    assert main([*words, '--examples', 'snow=a.jpg,b.png']) == 2
    assert 'error: --examples snow=a.jpg,b.png: Example 1' in capsys.readouterr().err


def test_options_of_several_lists(capsys):
    with pytest.raises(SystemExit, match='2'):
        main(['vocabulary', 'a, b', 'c, d', '--out', 'x.txt'])
    assert '--examples and --out are for one list, got 2' in capsys.readouterr().err
