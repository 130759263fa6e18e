import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from panoptic_files import segment, write_dataset
from pycocotools import mask as rle

SCRIPT = Path(__file__).with_name('ddp_metrics.py')


def write_instances(folder, content, images):
    """Let the things of a panoptic set, one per image, be instances."""
    annotations = []
    for number, (image, (ids, _)) in enumerate(
        zip(content['images'], images.values(), strict=True), 1
    ):
        mask = np.asfortranarray(ids == 2, np.uint8)
        code = rle.encode(mask)
        annotations.append(
            {
                'id': number,
                'image_id': image['id'],
                'category_id': 3,
                'area': int(mask.sum()),
                'segmentation': {**code, 'counts': code['counts'].decode()},
            }
        )
    path = folder / 'annotations' / 'instances_val.json'
    path.write_text(json.dumps({**content, 'annotations': annotations}))


def evaluate_here(folder):
    spec = importlib.util.spec_from_file_location('ddp_metrics', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.evaluate(folder)


def evaluate_in_two_processes(folder, out):
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    env = {
        **os.environ,
        'PYTHONPATH': str(SCRIPT.parents[2]),
        'WORLD_SIZE': '2',
        'MASTER_ADDR': 'localhost',
        'MASTER_PORT': str(port),
        'OMP_NUM_THREADS': '1',
    }
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder), str(out)],
            cwd=folder,  # where MMEngine puts the files to gather
            env={**env, 'RANK': rank, 'LOCAL_RANK': rank},
        )
        for rank in ('0', '1')
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return json.loads(out.read_text())


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    """Five images make shards of three; the sampler repeats the first image."""
    rng = np.random.RandomState(0)
    images = {}
    for name in 'abcde':
        ids = rng.randint(1, 3, rng.randint(2, 5, 2))
        ids[0, :2] = 1, 2
        images[name] = (ids, [segment(1, 7), segment(2, 3)])
    paths = write_dataset(tmp_path, images)
    write_instances(tmp_path, json.loads(Path(paths['ann_file']).read_text()), images)
    one = evaluate_here(tmp_path)
    two = evaluate_in_two_processes(tmp_path, tmp_path / 'two.json')
    assert two == pytest.approx(one, rel=0, abs=0, nan_ok=True)  # exactly
    assert one['panoptic/num_missing'] == 0
    assert 0 < one['semantic/mIoU_union'] < one['semantic/mIoU'] < 100
    assert 0 < one['masks/recall_50'] < one['masks/recall_30']
    assert 0 < one['instance/segm_mAP'] < one['instance/segm_mAP_50'] < 1
    assert one['instance/num_missing'] == 0
