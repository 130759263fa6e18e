"""Training with several processes: what a cluster does to it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / 'tests/test_engine/toy_config.py'
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason='the CPU trains over gloo'),
]


def start(folder, config, processes, *options, nodes=(), **variables):
    """Start tools/dist_train.sh; its output goes to a pipe."""
    environment = dict(
        os.environ,
        PYTHON=sys.executable,
        PYTHONPATH=os.pathsep.join([str(TOY.parent), str(ROOT)]),
        MMOVSEG_DATA=str(folder),
        OMP_NUM_THREADS='1',
        **variables,
    )
    command = [ROOT / 'tools/dist_train.sh', config, processes, *options]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def finish(process, code=0):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output[-4000:]
    return output


def losses(folder):
    """Return the logged loss per step."""
    entries = []
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        entries += [json.loads(line) for line in path.read_text().splitlines()]
    return {x['step']: x['loss'] for x in entries if 'loss' in x}


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """A ShapeWorld of eight pictures; five of them show nothing."""
    folder = tmp_path_factory.mktemp('data')
    tool = ROOT / 'tools/dataset_converters/make_shapeworld.py'
    options = ['--num-train', '8', '--num-val', '2', '--image-size', '64']
    subprocess.run(
        [sys.executable, tool, '--out', folder / 'shapeworld', *options],
        check=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    path = folder / 'shapeworld/annotations/panoptic_train.json'
    content = json.loads(path.read_text())
    from PIL import Image

    for annotation in content['annotations'][:5]:
        annotation['segments_info'] = []
        mask = path.with_suffix('') / annotation['file_name']
        Image.new('RGB', Image.open(mask).size).save(mask)
    path.write_text(json.dumps(content))
    return folder


def test_images_without_objects_under_debug_info(drawn, port, tmp_path):
    """Parts of the model then get no gradient in one process."""
    options = ['train_cfg.max_iters=4', 'train_cfg.val_interval=100']
    options += ['train_dataloader.batch_size=1', 'default_hooks.logger.interval=1']
    output = finish(
        start(
            drawn,
            ROOT / 'configs/eovseg/eovseg_tiny_shapeworld.py',
            2,
            *('--work-dir', tmp_path, '--cfg-options', *options),
            TORCH_DISTRIBUTED_DEBUG='INFO',
            PORT=port,
        )
    )
    assert set(losses(tmp_path)) == {1, 2, 3, 4}
    assert not re.search('did not receive grad|Traceback|RuntimeError', output)


def test_another_number_of_processes_is_said(port, tmp_path):
    options = ['--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=2']
    first = finish(start(tmp_path, TOY, 1, *options, PORT=port))
    assert 'goes on with' not in first
    options[-1] = 'train_cfg.max_iters=4'
    output = finish(start(tmp_path, TOY, 2, '--resume', *options, PORT=port))
    assert 'goes on with 2 processes; 1 trained so far' in output
    assert set(losses(tmp_path)) == {1, 2, 3, 4}


def test_two_nodes(port, tmp_path):
    """Two launchers on the loopback address are two machines."""
    nodes = [
        start(
            tmp_path,
            TOY,
            1,
            *('--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_iters=3'),
            PORT=port,
            NNODES='2',
            NODE_RANK=str(rank),
        )
        for rank in range(2)
    ]
    first, _ = [finish(node) for node in nodes]
    assert 'GPU number: 2' in first
    assert set(losses(tmp_path / 'run')) == {1, 2, 3}


def test_a_stopped_process_ends_the_run(port, tmp_path):
    """SIGSTOP: neither dead nor alive, as a machine that hangs."""
    options = ['train_cfg.max_iters=100000', 'env_cfg.dist_cfg.timeout=10']
    options += ['env_cfg.dist_cfg.backend=gloo', 'train_cfg.val_interval=1000000']
    process = start(
        tmp_path,
        TOY,
        2,
        *('--work-dir', tmp_path, '--cfg-options', *options),
        PORT=port,
    )
    workers = []
    try:
        for _ in range(600):
            log = [*tmp_path.glob('*/vis_data/scalars.json')]
            if log and log[0].stat().st_size:
                break
            time.sleep(0.1)
        listed = subprocess.run(
            ['ps', '-o', 'pid=,args=', '--ppid', str(process.pid)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        workers = [int(line.split()[0]) for line in listed if 'train.py' in line]
        assert len(workers) >= 2, listed
        os.kill(workers[1], signal.SIGSTOP)
        output, _ = process.communicate(timeout=120)
        assert process.returncode
        assert re.search('[Tt]imed out|timeout', output), output[-3000:]
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        process.kill()
