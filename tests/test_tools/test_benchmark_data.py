"""What the benchmark of data pipelines prints, on a few drawn pictures."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from mmovseg.datasets.shapeworld_files import write_split

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/benchmark_data.py'


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    # The benchmark would start itself anew to set it.
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['benchmark_data.py', *map(str, arguments)])
        runpy.run_path(str(TOOL))['main']()
        return capsys.readouterr().out

    return run


def test_every_transform_is_timed_on_the_data_of_another_config(run, tmp_path):
    write_split(tmp_path / 'shapeworld', 'train', 3, size=64, seed=0, num_workers=1)
    options = ['--data-of', 'eovseg_tiny_shapeworld', '--images', 4, '--workers', 0]
    sizes = [f'train_dataloader.dataset.pipeline.{i}' for i in (4, 5, 6)]
    text = run(
        *('eovseg_r50_coco', *options, '--cfg-options'),
        *('train_dataloader.batch_size=2', f'{sizes[0]}.scale=(96,96)'),
        *(f'{sizes[1]}.crop_size=(96,96)', f'{sizes[2]}.size=(96,96)'),
    )
    rows = re.findall(r'^\| \d (\w+) \| ([\d.]+) \| ([\d.]+) \| (\d+) %', text, re.M)
    assert [name for name, *_ in rows] == [
        *('SeedSample', 'LoadImageFromFile', 'LoadPanopticAnnotations'),
        *('RandomFlip', 'RandomResize', 'RandomCrop', 'Pad', 'PackDetInputs'),
    ]
    assert sum(int(share) for *_, share in rows) == pytest.approx(100, abs=4)
    assert all(float(p95) >= float(median) for _, median, p95, _ in rows)
    assert re.search(r'Loader, 0 workers, batches of 2: [\d.]+ images/s', text)


def test_a_missing_split_or_folder_is_refused(run):
    with pytest.raises(SystemExit, match='has no train_dataloader'):
        run('eovseg_r50_zs-ade20k')
    with pytest.raises(SystemExit, match='shapeworld'):
        run('eovseg_tiny_shapeworld')
