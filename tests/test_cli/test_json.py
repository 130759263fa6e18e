"""--json: stdout has JSON alone, whatever is told meanwhile."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.cli.main import COMMANDS, main, read_arguments

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / 'tests' / 'test_engine' / 'toy_config.py'
REQUIRED = {
    'train': ['config.py'],
    'test': ['config.py', 'weights.pth'],
    'export': ['config.py', 'model.onnx'],
    'validate': ['config.py'],
    'bench': ['config.py'],
    'predict': ['photo.jpg'],
    'label': ['photos', '-c', 'cat', '-o', 'out'],
    'explain': ['photo.jpg'],
    'video': ['clip.mp4'],
}


@pytest.mark.parametrize('name', [x for x in COMMANDS if x != 'completion'])
def test_every_command_that_reports_has_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*REQUIRED.get(name, []), '--json']
    if name == 'serve':
        pytest.skip('it runs until it is stopped')
    assert read_arguments(name, words).json


def test_validate(tmp_path, capsys):
    maps = ([[9, 9, 6], [9, 9, 0]], [segment(9, 7), segment(6, 3)])
    write_dataset(tmp_path, dict.fromkeys('abc', maps))
    dataset = dict(type='PanopticDataset', **dataset_config(tmp_path))
    config = tmp_path / 'config.py'
    config.write_text(
        f'val_dataloader = dict(dataset={dataset})\n'
        "vocabulary = ['wall', 'thing: dog', 'sky', 'thing: kite']\n"
    )
    words = ['validate', str(config), '--num-workers', '0', '--json']
    assert main(words) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report['problems'] == 0 and report['datasets'][0]['checked'] == 3
    assert '3 images, 3 looked into' in printed.err
    (tmp_path / 'val' / 'b.jpg').unlink()
    assert main(words) == 1
    assert json.loads(capsys.readouterr().out)['problems'] == 1


def test_bench(monkeypatch, capsys):
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')  # or it would start anew
    options = ['--shape', '64', '64', '--warmup', '0', '--repeat', '2', '--json']
    assert main(['bench', 'eovseg_tiny_shapeworld', *options]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert len(report['runs'][0]['seconds']['total']) == 2
    assert report['settings']['shape'] == [64, 64] and report['text']
    assert 'median' in printed.err
    with pytest.raises(SystemExit, match=r'^error: '):
        main(['bench', 'no_such_config', '--json'])
    assert capsys.readouterr().out == ''


def test_export_of_a_vocabulary(tmp_path, capsys):
    out = tmp_path / 'words.npz'
    words = ['export', 'eovseg_tiny_shapeworld', str(out), '--json']
    assert main([*words, '--checkpoint', 'shapeworld', '--classes', 'cat']) == 0
    printed = capsys.readouterr()
    [file] = json.loads(printed.out)['files']
    assert file == dict(file=str(out), bytes=out.stat().st_size, checks=[])
    assert 'Wrote' in printed.err


def start(*words, cwd):
    """Run the command in another process, whose log goes where it wants to."""
    path = os.pathsep.join([str(TOY.parent), str(ROOT)])
    return subprocess.run(
        [sys.executable, '-m', 'mmovseg.cli', *map(str, words)],
        cwd=cwd,
        env=dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_train(tmp_path):
    done = start('train', TOY, '--work-dir', tmp_path / 'work', '--json', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report['iterations'] > 0 and Path(report['checkpoint']).is_file()
    assert Path(report['work_dir']) == tmp_path / 'work'
    assert 'Iter(train)' in done.stderr


@pytest.mark.slow
def test_test(tmp_path, monkeypatch):
    draw = str(ROOT / 'tools' / 'dataset_converters' / 'make_shapeworld.py')
    options = ['--num-train', '1', '--num-val', '2', '--image-size', '64']
    root = tmp_path / 'data' / 'shapeworld'
    monkeypatch.setattr(sys, 'argv', [draw, '--out', str(root), *options])
    runpy.run_path(draw)['main']()
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path / 'data'))
    config = ROOT / 'configs' / 'eovseg' / 'eovseg_tiny_shapeworld.py'
    work = ['--work-dir', tmp_path / 'work']
    done = start('test', config, 'shapeworld', *work, '--json', cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    card = json.loads(done.stdout)
    written = json.loads((tmp_path / 'work' / 'results.json').read_text())
    assert card == written and 'panoptic/PQ' in card['metrics']
