"""The tool on drawn data: what it prints, writes and returns."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from panoptic_files import dataset_config, segment, write_dataset

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the tool on three images; return its exit code."""
    write_dataset(
        tmp_path,
        {
            stem: ([[9, 9, 6], [9, 9, 0]], [segment(9, 7), segment(6, 3)])
            for stem in 'abc'
        },
    )
    dataset = dict(type='PanopticDataset', **dataset_config(tmp_path))
    config = tmp_path / 'config.py'
    config.write_text(
        f'val_dataloader = dict(dataset={dataset})\n'
        "vocabulary = ['wall', 'thing: dog', 'sky', 'thing: kite']\n"
    )

    def run(*options):
        argv = ['validate_dataset.py', str(config), '--num-workers', '0', *options]
        monkeypatch.setattr(sys, 'argv', argv)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / 'tools' / 'validate_dataset.py'))['main']()
        return ended.value.code

    return run


def test_sound_data(run, tmp_path, capsys):
    out, pictures = tmp_path / 'new' / 'report.json', tmp_path / 'pictures'
    assert run('--out', str(out), '--show-dir', str(pictures)) == 0
    text = capsys.readouterr().out
    assert '3 images, 3 looked into; 4 classes, 2 of them things' in text
    assert '66.67%' in text and '0 problems in 1 datasets.' in text
    assert json.loads(out.read_text())[0]['classes'][0]['pixels'] == 12
    assert len(list(pictures.iterdir())) == 3


def test_problems_are_listed_and_fail(run, tmp_path, capsys):
    (tmp_path / 'val' / 'b.jpg').unlink()
    assert run() == 1
    text = capsys.readouterr().out
    assert 'PROBLEM: missing or broken files (1)' in text and 'b.jpg' in text
    assert '1 problems in 1 datasets.' in text


def test_wrong_options_are_named(run, capsys):
    assert 'no dataloader for train' in run('--splits', 'train')
    assert run('--max-images', '0') == 2
    assert '--max-images must be at least 1' in capsys.readouterr().err
