"""A worker that does not get done with a file names itself and the file."""

import os
import subprocess
import sys

import pytest

from mmovseg.datasets.stall_watch import watch_workers

CODE = """
import sys, time
from mmengine.dataset import BaseDataset, default_collate
from mmengine.logging import MMLogger
from mmcv.transforms import BaseTransform
from torch.utils.data import DataLoader
import mmovseg.datasets

class Stall(BaseTransform):
    def transform(self, results):
        if results['img_path'].endswith('b.jpg'):
            time.sleep(SECONDS)
        return results

class Photos(BaseDataset):
    def load_data_list(self):
        return [dict(img_path=f'/photos/{name}.jpg') for name in 'ab']

if __name__ == '__main__':
    logger = MMLogger.get_instance('test')
    photos = Photos(pipeline=[Stall()])
    loader = DataLoader(photos, num_workers=2, multiprocessing_context=sys.argv[1])
    print([x['sample_idx'].item() for x in loader])
"""


def run(tmp_path, seconds, method, limit):
    script = tmp_path / 'photos.py'
    script.write_text(CODE.replace('SECONDS', str(seconds)))
    done = subprocess.run(
        [sys.executable, script, method],
        capture_output=True,
        text=True,
        env={**os.environ, 'MMOVSEG_STALL_SECONDS': limit},
    )
    assert done.returncode == 0, done.stderr
    assert '[0, 1]' in done.stdout
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_worker_and_file_are_named(tmp_path, method):
    text = run(tmp_path, 3, method, '1')
    lines = [x for x in text.splitlines() if 'data loader' in x]
    assert any('Worker 1 ' in x and '/photos/b.jpg, in Stall' in x for x in lines)
    assert any('photos.py:' in x for x in lines)
    assert len(lines) <= 3  # it gets quieter


@pytest.mark.slow
def test_a_sample_in_time_is_not_named(tmp_path):
    assert 'Worker' not in run(tmp_path, 0.2, 'fork', '60')


@pytest.mark.parametrize('text', ['1m', 'nan', '-1', 'inf', ''])
def test_what_is_no_number_of_seconds_is_named(monkeypatch, text):
    monkeypatch.setenv('MMOVSEG_STALL_SECONDS', text)
    with pytest.raises(ValueError, match=rf"MMOVSEG_STALL_SECONDS.*got '{text}'"):
        watch_workers()
