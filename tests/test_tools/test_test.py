"""The test script on the tiny model with random weights and three drawn images."""

import hashlib
import json
import os
import pickle
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmovseg.analysis.run_card import hash_config, read_card
from mmovseg.apis.config import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'eovseg' / 'eovseg_tiny_shapeworld.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Draw the data set; return the folder that holds it."""
    root = tmp_path_factory.mktemp('data')
    draw = str(ROOT / 'tools' / 'dataset_converters' / 'make_shapeworld.py')
    options = ['--num-train', '1', '--num-val', '3', '--image-size', '64']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', [draw, '--out', str(root / 'shapeworld'), *options])
        runpy.run_path(draw)['main']()
    return root


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    from mmovseg.apis import init_model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    torch.save({'state_dict': init_model(str(CONFIG)).state_dict()}, path)
    return path


@pytest.fixture
def run(monkeypatch, data, tmp_path):
    """Run the script in this process; return what it logged as metrics."""
    monkeypatch.setenv('MMOVSEG_DATA', str(data))
    # None of the loaders of a test should start processes.
    options = ['test_dataloader.num_workers=0', 'test_dataloader.batch_size=1']
    options += ['test_dataloader.persistent_workers=False']

    def run(path, *arguments):
        argv = ['test.py', str(CONFIG), str(path), '--work-dir', str(tmp_path / 'work')]
        argv += [str(part) for part in arguments]
        argv += ['--cfg-options', *options, f'experiment_name={tmp_path.name}']
        monkeypatch.setattr(sys, 'argv', argv)
        runpy.run_path(str(ROOT / 'tools' / 'test.py'))['main']()
        return read_metrics(tmp_path / 'work')

    return run


def read_metrics(work_dir):
    path = max(work_dir.glob('*/*.json'))  # of the last run
    metrics = json.loads(path.read_text())
    return {key: value for key, value in metrics.items() if 'time' not in key}


@pytest.mark.slow
def test_writes_metrics_pictures_and_predictions(run, checkpoint, tmp_path):
    out = tmp_path / 'predictions.pkl'
    metrics = run(checkpoint, '--out', out, '--show-dir', tmp_path / 'pictures')
    assert 'panoptic/PQ' in metrics and 'semantic/mIoU' in metrics
    assert len(list((tmp_path / 'pictures').glob('*.png'))) == 3
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 3 and 'pred_panoptic_seg' in predictions[0]


@pytest.mark.slow
def test_writes_a_run_card(run, checkpoint, tmp_path):
    metrics = run(checkpoint)
    card = read_card(tmp_path / 'work' / 'results.json')
    names = {*('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st')}
    assert {f'panoptic/{name}' for name in names} <= set(card['metrics'])
    names = {'instance/segm_mAP', 'semantic/pAcc'}
    names |= {'semantic/mIoU', 'semantic/mIoU_union'}
    assert names | {'panoptic/PQ'} <= set(card['conventions'])
    logged = {name: value for name, value in metrics.items() if value is not None}
    for name, value in logged.items():  # the card has null for nan
        expected = None if np.isnan(value) else pytest.approx(value)
        assert card['metrics'][name] == expected, name
    assert card['metrics']['panoptic/num_missing'] == 0  # MMEngine logs no integers
    assert card['images'] == 3 and card['fps']['images'] == 1
    assert card['fps']['images_per_second'] > 0
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert card['checkpoint']['sha256'] == digest
    assert card['config']['name'] == CONFIG.stem
    options = card['config']['options']
    assert options['test_dataloader.num_workers'] == 0
    # The options of this run change nothing that a result depends on.
    assert card['config']['sha256'] == hash_config(
        load_config(CONFIG, {'test_dataloader.batch_size': 1})
    )
    assert card['vocabularies']['test']['name'] == 'shapeworld'


@pytest.mark.slow
def test_batches_and_the_fast_mode(run, checkpoint, tmp_path):
    exact = run('shapeworld')
    batches = run('shapeworld', '--batch-size', '2')
    assert exact['panoptic/PQ'] > 20 and exact['semantic/mIoU'] > 20
    for name in ('panoptic/PQ', 'semantic/mIoU', 'semantic/pAcc'):
        assert batches[name] == pytest.approx(exact[name], abs=0.5), name
    card = read_card(tmp_path / 'work' / 'results.json')
    assert card['images'] == 3
    assert card['metrics']['panoptic/num_missing'] == 0
    assert card['fps']['batch_size'] == 2 and card['fps']['fast'] == []
    assert card['fps']['dtype'] == 'float32' and not card['fps']['plain']
    plain = run('shapeworld', '--plain')
    assert plain['panoptic/PQ'] == pytest.approx(exact['panoptic/PQ'], abs=0.5)
    assert read_card(tmp_path / 'work' / 'results.json')['fps']['plain']
    with pytest.raises(SystemExit):
        run('shapeworld', '--plain', '--fast')
    run(checkpoint, '--fast', 'bf16', 'resize')
    card = read_card(tmp_path / 'work' / 'results.json')
    assert card['fps']['fast'] == ['bf16', 'resize']
    assert card['fps']['dtype'] == 'bfloat16 (autocast)'
    with pytest.raises(SystemExit, match=r"'bf17'; there are"):
        run(checkpoint, '--fast', 'bf17')


def test_checkpoint_of_another_model_is_refused(run, tmp_path):
    torch.save({'state_dict': {'layer.weight': torch.zeros(2)}}, tmp_path / 'x.pth')
    with pytest.raises(SystemExit, match=r'another model[\s\S]*layer\.weight'):
        run(tmp_path / 'x.pth')


def test_a_model_that_is_trained_needs_a_checkpoint(run):
    with pytest.raises(SystemExit, match="needs a checkpoint, not 'pretrained'"):
        run('pretrained')


def test_missing_checkpoint_is_named(run):
    with pytest.raises(SystemExit, match=r'missing\.pth'):
        run('missing.pth')


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
def test_two_processes_give_the_metrics_of_one(run, checkpoint, data, tmp_path):
    alone = run(checkpoint)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    env = dict(os.environ, PYTHON=sys.executable, OMP_NUM_THREADS='1', PORT=port)
    work_dir = tmp_path / 'two'
    command = [ROOT / 'tools' / 'dist_test.sh', CONFIG, checkpoint, '2']
    command += ['--work-dir', work_dir, '--batch-size', '1']
    done = subprocess.run(
        [str(part) for part in command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert read_metrics(work_dir) == pytest.approx(alone, nan_ok=True)
    assert read_card(work_dir / 'results.json')['hardware']['processes'] == 2


@pytest.mark.slow
def test_an_empty_set_and_missing_files_end_with_one_line(
    run, checkpoint, data, tmp_path
):
    annotations = data / 'shapeworld/annotations/panoptic_val.json'
    before = annotations.read_text()
    empty = dict(json.loads(before), images=[], annotations=[])
    try:
        annotations.write_text(json.dumps(empty))
        with pytest.raises(SystemExit, match=r'^error: .*(empty|no images)'):
            run(checkpoint)
        annotations.unlink()
        with pytest.raises(SystemExit, match=r'^error: .*panoptic_val\.json'):
            run(checkpoint)
    finally:
        annotations.write_text(before)
    photo = next((data / 'shapeworld').rglob('val/*.*'))
    photo.rename(tmp_path / 'elsewhere')
    try:
        with pytest.raises(SystemExit, match=rf'^error: .*{photo.name}') as error:
            run(checkpoint)
        assert '\n' not in str(error.value)
    finally:
        (tmp_path / 'elsewhere').rename(photo)
