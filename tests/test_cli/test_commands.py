"""The command mmovseg: help, mistakes, and what each command does with its words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.cli import main as cli
from mmovseg.cli.main import COMMANDS, main
from mmovseg.cli.runs import doctor
from mmovseg.shapeworld.drawing import draw_numbered

ROOT = Path(__file__).resolve().parents[2]
SLOW = ('torch', 'mmengine', 'mmcv', 'cv2', 'scipy', 'matplotlib', 'numpy', 'PIL')


@pytest.fixture(scope='module')
def answers():
    """Ask all commands for help in one process, which forks for each."""
    program = f"""
import os, sys
from mmovseg.cli.main import main
for name in sys.argv[1:]:
    print('==', name, flush=True)
    if not os.fork():
        status = 'no exit'
        try:
            status = main([name, '--help'] if name != 'mmovseg' else ['--help'])
        except SystemExit as error:
            status = error.code
        print('status', status, [name for name in {SLOW!r} if name in sys.modules])
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""
    done = subprocess.run(
        [sys.executable, '-c', program, 'mmovseg', *COMMANDS],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    parts = done.stdout.split('== ')[1:]
    return dict(part.split('\n', 1) for part in parts)


@pytest.mark.parametrize('name', ['mmovseg', *COMMANDS])
def test_help_imports_nothing_slow(answers, name):
    assert answers[name].startswith('usage: mmovseg')
    assert answers[name].splitlines()[-1] == 'status 0 []'


def test_every_command_has_a_module():
    folder = ROOT / 'mmovseg' / 'cli'
    assert {path.stem for path in (folder / 'runs').glob('[a-z]*.py')} == set(COMMANDS)
    for name in COMMANDS:
        assert (folder / f'{name}.py').is_file()


def test_mistakes_have_a_status_and_a_hint(capsys):
    assert main(['predct']) == 2
    assert "Did you mean 'predict'" in capsys.readouterr().err
    assert main([]) == 2
    assert main(['--version']) == 0
    with pytest.raises(SystemExit) as ended:
        main(['label', 'photos'])
    assert ended.value.code == 2
    assert '-c/--classes' in capsys.readouterr().err


def test_vocabularies(capsys):
    assert main(['vocabulary', '--json']) == 0
    lists = {x['name']: x for x in json.loads(capsys.readouterr().out)}
    assert lists['ade20k_150']['classes'] == 150
    assert main(['vocabulary', 'dog; puppy, stuff: grass']) == 0
    assert capsys.readouterr().out == 'thing: dog; puppy\nstuff: grass\n'
    assert main(['vocabulary', 'dog', 'puppy, Dog', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert [x['seen'] for x in found['test']] == [False, True]
    with pytest.raises(SystemExit, match=r'error: .*ade20k_15'):
        main(['vocabulary', 'ade20k_15'])


def test_models(capsys):
    assert main(['models']) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ['model', 'here'] and len(rows) > 3
    assert main(['models', '--json']) == 0
    models = {x['name']: x for x in json.loads(capsys.readouterr().out)}
    name = next(name for name, model in models.items() if model['origin'] == 'package')
    assert models[name]['here']
    assert main(['models', name]) == 0
    assert f'name: {name}\n' in capsys.readouterr().out
    with pytest.raises(SystemExit, match='no model'):
        main(['models', 'nothing'])


def test_doctor(capsys, monkeypatch):
    assert main(['doctor', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert not report['needed']['missing'] and report['versions']['torch']
    assert not any(folder['problem'] for folder in report['folders'])
    wanting = doctor.Feature('flight', ('torch', 'wings'), 'pip install wings')
    monkeypatch.setattr(doctor, 'FEATURES', (wanting,))
    monkeypatch.setenv('MMOVSEG_CACHE', '/proc/nothing')
    assert main(['doctor']) == 0
    text = capsys.readouterr().out
    assert 'flight: missing wings: pip install wings' in text
    assert '/proc/nothing, ' in text and 'GB free' in text
    monkeypatch.setattr(doctor, 'NEEDED', wanting)
    assert main(['doctor']) == 1


def test_completion(capsys):
    pytest.importorskip('shtab', reason='shtab')
    assert main(['completion', 'bash']) == 0
    text = capsys.readouterr().out
    assert '--thresholds' in text and 'predict' in text


def test_completion_without_shtab(monkeypatch):
    monkeypatch.setitem(sys.modules, 'shtab', None)
    with pytest.raises(SystemExit, match=r"pip install 'mmovseg\[completion\]'"):
        main(['completion', 'bash'])


def test_only_our_warnings_are_shown(capsys):
    cli._show_warning(UserWarning('of ours'), UserWarning, cli.__file__, 1)
    cli._show_warning(UserWarning('of others'), UserWarning, os.__file__, 1)
    assert capsys.readouterr().err == 'warning: of ours\n'


# A model that finds the colors of ShapeWorld by the weights of the package.


@pytest.fixture(scope='module')
def model():
    return init_model('eovseg_tiny_shapeworld', 'shapeworld')


@pytest.fixture
def loaded(model, monkeypatch):
    """Build the model once for all commands."""

    def load(args, **options):
        return OVSegInferencer(model, show_progress=False, **options)

    for name in ('predict', 'label', 'explain'):
        monkeypatch.setattr(f'mmovseg.cli.runs.{name}.load_model', load)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'photos').mkdir()
    for index in range(3):
        image = Image.fromarray(draw_numbered(index, 'val', 0).image)
        image.save(tmp_path / 'photos' / f'{index}.png')


NAMES = 'red star, green square, yellow disc, stuff: grass, stuff: sand, stuff: water'
TINY = ('--model', 'eovseg_tiny_shapeworld')


def test_predict(loaded, photos, tmp_path, capsys):
    assert main(['predict', 'photos/0.png', '-c', NAMES, *TINY]) == 0
    text = capsys.readouterr().out
    assert text.startswith('0: ') and 'name ' in text
    assert (tmp_path / 'outputs' / '0_overlay.png').is_file()
    (tmp_path / 'photos' / 'bad.jpg').write_bytes(b'x')
    words = ['predict', 'photos', '-c', NAMES, '--json', *TINY]
    assert main(words) == 1
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert [x['image'] for x in found['photos']] == ['0', '1', '2']
    assert 'bad.jpg is not an image' in printed.err
    assert printed.err.count('bad.jpg') == 1
    assert main(['predict', 'photos/0.png', '-c', 'cat|dog', *TINY]) == 2
    assert main(['predict', 'photos/0.png', '-o', 'photos', *TINY]) == 3


def test_predict_by_tiles(loaded, photos, tmp_path, capsys):
    Image.open('photos/0.png').resize((300, 200)).save('photos/large.png')
    (tmp_path / 'photos' / 'bad.jpg').write_bytes(b'x')
    assert main(['predict', 'photos', '-c', NAMES, '--tile', '128', *TINY]) == 1
    assert 'large: ' in capsys.readouterr().out
    labels = np.asarray(Image.open('outputs/large_labels.png'))
    assert labels.shape == (200, 300, 3) and labels.any()
    for options in (('--tile', '8'), ('--tile', '64', '--task', 'instance')):
        with pytest.raises(SystemExit) as ended:
            main(['predict', 'photos', *options])
        assert ended.value.code == 2


def test_predict_takes_the_best_model_and_says_so(loaded, photos, capsys, monkeypatch):
    from mmovseg.cli.runs import models

    assert models.choose_model()
    told = capsys.readouterr().err
    assert 'the best one on this machine' in told and 'mmovseg models' in told


def read_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.suffix in ('.png', '.txt', '.json', '.yaml')
    }


def test_label(loaded, photos, tmp_path, capsys):
    words = ['label', 'photos', '-c', NAMES, '-f', 'coco,ade,yolo', *TINY]
    assert main([*words, '-o', 'whole', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == dict(
        photos=3,
        open=0,
        labels=['whole/coco', 'whole/ade', 'whole/yolo'],
        failed={},
    )
    assert main([*words, '-o', 'parts', '--shard', '2/2']) == 0
    assert 'still have 2 photos to do' in capsys.readouterr().out
    assert not (tmp_path / 'parts' / 'coco').exists()
    assert main([*words, '-o', 'parts', '--shard', '1/2']) == 0
    whole, parts = read_files(tmp_path / 'whole'), read_files(tmp_path / 'parts')
    assert whole == parts and 'ade/annotations/2.png' in whole
    labels = np.asarray(Image.open(tmp_path / 'whole/ade/annotations/0.png'))
    assert 0 < labels.max() <= 6


def test_label_drops_other_classes(loaded, photos, tmp_path, capsys):
    words = ['label', 'photos', '-o', 'out', *TINY, '-c', 'stuff: grass, stuff: sand']
    words += ['--other', 'red star, stuff: water']
    assert main(words) == 0
    content = json.loads((tmp_path / 'out/coco/instances.json').read_text())
    assert [x['name'] for x in content['categories']] == ['grass', 'sand']
    run = json.loads((tmp_path / 'out/run.json').read_text())
    assert run['classes'][-1] == 'stuff: water'
    # Other classes are another run.
    assert main(words[:-2]) == 3
    assert 'another run, with other classes' in capsys.readouterr().err


@pytest.mark.parametrize(
    'options, message',
    [
        (('-f', 'cocoo'), "no format 'cocoo'"),
        (('--thresholds', 'str=0.5'), "'str', no class"),
        (('--shard', '5/3'), 'N/ALL'),
        (('--task', 'instance', '--score-thr', '0.01'), 'below 0.05 are not kept'),
        (('-f', 'cityscapes'), "cityscapes has no class 'red star'"),
    ],
)
def test_label_refuses_what_is_wrong_before_the_work(photos, capsys, options, message):
    words = ['label', 'photos', '-o', 'out', '-c', NAMES, *TINY, *options]
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not Path('out').exists()


def test_label_refuses_photos_and_files_before_the_work(photos, tmp_path, capsys):
    words = ['label', 'photos', '-c', NAMES, '-f', 'voc', *TINY, '-o']
    (tmp_path / 'out/voc').mkdir(parents=True)
    (tmp_path / 'out/failed.json').touch()
    corrected = tmp_path / 'out/voc/0.png'
    corrected.touch()
    os.utime(corrected, (4e9, 4e9))
    assert main([*words, 'out']) == 3
    assert '0.png was changed after it was written' in capsys.readouterr().err
    Image.open('photos/0.png').save('photos/0.jpg')
    assert main([*words, 'new']) == 2
    assert '0.jpg and 0.png would share a label file' in capsys.readouterr().err
    assert not Path('new').exists()


@pytest.mark.parametrize(
    'options',
    [
        ('--thresholds', 'red star'),
        ('--thresholds', 'cup=0.5, cup=0.9'),
        ('--workers', '0'),
        ('-f', ' , '),
    ],
)
def test_label_refuses_wrong_words(options, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['label', 'photos', '-o', 'out', '-c', NAMES, *options])
    assert ended.value.code == 2
    assert options[0].lstrip('-') in capsys.readouterr().err or options[0] == '-f'


@pytest.mark.slow
def test_explain(loaded, photos, tmp_path, capsys):
    Path('photos/broken.png').write_bytes(b'no image')
    words = ['explain', 'photos', '-o', 'out', *TINY, '-c', NAMES]
    assert main(words) == 1
    text, mistakes = capsys.readouterr()
    assert 'broken.png' in mistakes
    assert 'CLIP' in text and 'void' in text
    drawn = sorted(path.name for path in Path('out').iterdir())
    assert drawn and all(name.endswith('_explained.png') for name in drawn)
    assert main([*words, '--nearest', '2', '--json']) == 1
    report = json.loads(capsys.readouterr().out)
    segments = [x for photo in report['photos'] for x in photo['segments']]
    assert segments and all(len(x['nearest']) == 2 for x in segments)
    # The same photos have the same files again.
    assert drawn == sorted(path.name for path in Path('out').iterdir())


def test_commands_of_the_page_are_understood(tmp_path, monkeypatch):
    import re
    import shlex

    text = (ROOT / 'docs' / 'command_line.md').read_text()
    blocks = re.findall(r'```shell\n(.*?)```', text, re.DOTALL)
    lines = [line for x in blocks for line in x.replace('\\\n', '').splitlines()]
    lines += [x for line in lines for x in re.findall("'(mmovseg .*)'", line)]
    found = set()
    for words in map(shlex.split, lines):
        if 'mmovseg' in words:
            name, *options = words[words.index('mmovseg') + 1 :]
            assert cli.read_arguments(name, options)
            found.add(name)
    assert {'predict', 'label'} <= found
