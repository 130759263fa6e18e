"""What the analysis tools print, for the tiny model."""

import re
import runpy
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def run(monkeypatch, capsys):
    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [name, 'eovseg_tiny_shapeworld', *arguments])
        runpy.run_path(str(TOOLS / f'{name}.py'))['main']()
        return capsys.readouterr().out

    return run


def test_get_flops_names_both_parameter_counts(run):
    text = run('get_flops', '--shape', '64', '64', '--vocabulary', 'ade20k_150')
    assert 'input 64 x 64, 150 classes' in text
    runs, paper = (
        float(re.search(rf'{title}.*?: +([\d.]+) M parameters', text)[1])
        for title in ('Network that runs', "Paper's convention")
    )
    assert 0 < runs != paper > 0
    assert 'Text tower, once per vocabulary' in text


def test_benchmark_times_every_part(run):
    text = run(
        *('benchmark', '--shape', '64', '64', '--warmup', '0', '--repeat', '3'),
        *('--batch-size', '2'),
    )
    rows = dict(re.findall(r'^(\w+) +([\d.]+) ms +[\d.]+ ms$', text, re.M))
    parts = {'backbone', 'neck', 'spatial_backbone', 'decoder', 'ensemble', 'fusion'}
    assert rows.keys() == parts | {'total'}
    assert float(rows['total']) > float(rows['decoder']) > 0


@pytest.mark.parametrize('name', ['get_flops', 'benchmark'])
def test_impossible_shape_is_refused(run, name, capsys):
    with pytest.raises(SystemExit):
        run(name, '--shape', '65', '64')
    assert 'multiples of 32' in capsys.readouterr().err
