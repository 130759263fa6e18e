"""Tools of mmseg and mmdet run mixes with our metrics, and count our models.

They run in processes of their own, which never import mmovseg themselves.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmdet
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from panoptic_files import segment, write_dataset

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / 'projects' / 'mixing' / 'configs'
SIZE = (64, 96)


def run(package, tool, folder, *arguments):
    """Run a tool of another package in a folder of its own; return what it prints."""
    path = Path(package.__file__).parent / '.mim' / 'tools' / tool
    done = subprocess.run(
        [sys.executable, str(path), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=os.environ | dict(MMOVSEG_DATA=str(folder), PYTHONPATH=str(ROOT)),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def save_weights(config, path):
    """Write random weights of a mix, as its runner would."""
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(dict(cfg.model, _scope_=cfg.default_scope))
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def read_metrics(folder):
    """Return the metrics that a runner has written."""
    [path] = folder.glob('work/*/*.json')
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.slow
def test_mmseg_measures_its_model_by_our_metric(tmp_path):
    config = CONFIGS / 'mmseg' / 'fcn_our-metrics.py'
    rng = np.random.RandomState(0)
    for folder in ('images', 'labels'):
        (tmp_path / 'mixing' / folder).mkdir(parents=True)
    for number in range(3):
        photo = rng.randint(0, 256, (*SIZE, 3), np.uint8)
        labels = np.kron(rng.randint(0, 5, (8, 12)), np.ones((8, 8))).astype(np.uint8)
        labels[:9] = 255
        cv2.imwrite(str(tmp_path / f'mixing/images/{number}.png'), photo)
        cv2.imwrite(str(tmp_path / f'mixing/labels/{number}.png'), labels)
    save_weights(config, tmp_path / 'weights.pth')
    run(mmseg, 'test.py', tmp_path, config, 'weights.pth', '--work-dir', 'work')
    found = read_metrics(tmp_path)
    # mmseg rounds to two digits.
    assert found['semantic/mIoU_union'] == pytest.approx(found['mIoU'], abs=0.006)
    assert found['semantic/pAcc'] == pytest.approx(found['aAcc'], abs=0.006)
    assert found['semantic/mAcc'] == pytest.approx(found['mAcc'], abs=0.006)
    assert 0 < found['semantic/mIoU_union'] < 100
    # Three classes of five are seen.
    mean = 3 * found['semantic/mIoU_seen'] + 2 * found['semantic/mIoU_unseen']
    assert mean / 5 == pytest.approx(found['semantic/mIoU_union'])


THINGS_FIRST = [
    dict(id=number, name=name, isthing=int(name != 'grass'), color=[number] * 3)
    for number, name in enumerate(('dog', 'cat', 'kite', 'cup', 'grass'), 1)
]


@pytest.mark.ops
def test_mmdet_measures_its_model_by_our_metrics(tmp_path):
    config = CONFIGS / 'mmdet' / 'mask2former_our-metrics.py'
    images, instances = {}, []
    for number in range(3):
        ids = np.full(SIZE, 9)
        ids[:20, :40] = 0  # nothing annotated
        ids[20:50, 10 + number : 50] = 5
        ids[10:60, 60:90] = 6
        parts = [
            segment(5, 1 + number, bbox=(10 + number, 20, 40 - number, 30)),
            segment(6, 4, bbox=(60, 10, 30, 50)),
            segment(9, 5, bbox=(0, 0, 96, 64)),
        ]
        images[f'{number:06}'] = ids, parts
    write_dataset(tmp_path / 'mixing', images, THINGS_FIRST)
    annotations = tmp_path / 'mixing' / 'annotations'
    content = json.loads((annotations / 'panoptic_val.json').read_text())
    for annotation in content['annotations']:
        for part in annotation['segments_info']:
            x, y, w, h = part['bbox']
            polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
            if part['category_id'] < 5:
                box = dict(part, id=len(instances) + 1, segmentation=[polygon])
                instances.append(box | dict(image_id=annotation['image_id']))
    categories = [x for x in content['categories'] if x['isthing']]
    content.update(annotations=instances, categories=categories)
    (annotations / 'instances_val.json').write_text(json.dumps(content))
    save_weights(config, tmp_path / 'weights.pth')
    run(mmdet, 'test.py', tmp_path, config, 'weights.pth', '--work-dir', 'work')
    found = read_metrics(tmp_path)
    for kind in ('segm', 'bbox'):
        for name in ('mAP', 'mAP_50', 'mAP_75', 'mAP_l'):
            ours, theirs = (found[f'{x}/{kind}_{name}'] for x in ('instance', 'coco'))
            # mmdet rounds to three digits, and says -1 where there is nothing.
            assert ours == pytest.approx(theirs, abs=6e-4) or theirs == -1
    assert 0 <= found['panoptic/PQ'] <= 100


@pytest.mark.slow
def test_mmseg_counts_our_model(tmp_path):
    """Without text embeddings in the cache their tower counts, too."""
    name = 'eovseg_tiny_shapeworld'
    (tmp_path / 'config.py').write_text(
        f'_base_ = {str(ROOT / f"configs/eovseg/{name}.py")!r}\n'
        "scope = 'mmovseg'\n"
        "model = dict(decode_head=dict(type='none'))\n"
    )
    tool = 'analysis_tools/get_flops.py'
    run(mmseg, tool, tmp_path, 'config.py', '--shape', 64, 64)  # encodes the names
    printed = run(mmseg, tool, tmp_path, 'config.py', '--shape', 64, 64)
    assert 'Params: 5.318M' in printed
    assert 'Flops: 73.694M' in printed  # 0.07 G of tools/analysis_tools/get_flops.py
