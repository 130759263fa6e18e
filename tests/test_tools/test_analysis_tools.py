"""What the analysis tools print, for the tiny model."""

import json
import re
import runpy
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmovseg.analysis.profiling import build_model, draw_masks

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


@pytest.fixture
def run(monkeypatch, capsys):
    # The benchmark would start itself anew to set it.
    monkeypatch.setenv('OMP_WAIT_POLICY', 'PASSIVE')

    def run(name, *arguments, config='eovseg_tiny_shapeworld'):
        monkeypatch.setattr(sys, 'argv', [name, config, *arguments])
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
    parts = {'backbone', 'neck', 'spatial_backbone', 'decoder', 'ensemble', 'rest'}
    assert rows.keys() == parts | {'fusion', 'total'}
    assert float(rows['total']) > float(rows['decoder']) > 0


def test_benchmark_compares_models_on_the_same_masks(run):
    text = run(
        *('benchmark', '--against', 'simbaseline_tiny_shapeworld-zs'),
        *('--shape', '64', '64', '--warmup', '0', '--repeat', '2'),
        *('--valid-masks', '7'),
        config='deop_tiny_shapeworld-zs',
    )
    totals = [float(x) for x in re.findall(r'^total +([\d.]+) ms', text, re.M)]
    assert len(totals) == 2
    ratio = float(re.search(r'([\d.]+) times the median', text)[1])
    assert ratio == pytest.approx(totals[1] / totals[0], rel=0.01)


def test_drawn_masks_are_as_many_as_asked_for(run):
    model = build_model('simbaseline_tiny_shapeworld-zs')
    draw_masks(model, 7)
    masks = model.proposals(torch.randn(1, 3, 64, 64))[-1].mask_logits > 0
    assert masks.flatten(2).any(2).sum() == 7


@pytest.mark.parametrize(
    ('config', 'count', 'message'),
    [
        ('eovseg_tiny_shapeworld', '7', 'EOVSeg has no proposal network'),
        ('deop_tiny_shapeworld-zs', '21', '21 of 20 proposals'),
    ],
)
def test_impossible_masks_are_refused(run, config, count, message):
    with pytest.raises((SystemExit, ValueError), match=message):
        run('benchmark', '--valid-masks', count, '--repeat', '1', config=config)


def test_rows_of_a_filter_that_cannot_be_are_left_out_aloud(monkeypatch, capsys):
    arguments = ['--names', '60', '--keep', 'all', '8', '--time-only', '64', '64']
    arguments += ['--repeat', '1', '--device', 'cpu']
    name = 'simbaseline_tiny_shapeworld-zs'
    monkeypatch.setattr(sys, 'argv', ['x', name, *arguments, '--valid-masks', '3'])
    runpy.run_path(str(TOOLS / 'many_names.py'))['main']()
    table, notes = capsys.readouterr()
    assert [x[:13] for x in table.splitlines()[2:]] == ['| 60 | all | ']
    assert 'note: --keep 8 is impossible: no CLIP of SimBaseline sees' in notes


def test_as_many_masks_are_timed_as_asked_for(monkeypatch):
    name = 'simbaseline_tiny_shapeworld-zs'
    arguments = ['--names', '60', '--time-only', '64', '64', '--repeat', '1']
    tool = runpy.run_path(str(TOOLS / 'many_names.py'))
    sizes = []
    monkeypatch.setattr(
        'mmovseg.models.backbones.DenseCLIPViT.encode_image',
        lambda self, crops: sizes.append(len(crops)) or crops.new_ones(len(crops), 1),
    )
    monkeypatch.setattr(sys, 'argv', ['x', name, *arguments, '--valid-masks', '3'])
    tool['measure'](tool['parse_args']())
    assert sizes == [3, 3]  # a run that is not counted, and one that is


@pytest.mark.parametrize('name', ['get_flops', 'benchmark', 'profile_model'])
def test_impossible_shape_is_refused(run, name, capsys):
    with pytest.raises(SystemExit):
        run(name, '--shape', '65', '64')
    assert 'multiples of 32' in capsys.readouterr().err


@pytest.mark.slow
def test_profiles_are_written_for_every_combination(run, tmp_path):
    out = tmp_path / 'new' / 'profile.json'
    text = run(
        *('profile_model', '--shape', '64', '64', '--shape', '64', '96'),
        *('--vocabulary', 'pascal_voc_20', 'ade20k_150', '--batch-size', '1', '2'),
        *('--warmup', '0', '--repeat', '1', '--depth', '1', '--out', str(out)),
    )
    report = json.loads(out.read_text())
    assert report['peak']['flops'] > 0
    assert report['hardware']['cpu'] and report['versions']['torch']
    assert report['settings']['dtype'] == 'float32'
    found = [(p['classes'], *p['shape'], p['batch_size']) for p in report['profiles']]
    assert len(set(found)) == len(found) == 8
    titles = re.findall(r', (\d+) classes, (\d) x (\d+) x (\d+):', text)
    assert [(int(k), int(h), int(w), int(b)) for k, b, h, w in titles] == found
    profiles = zip(found, report['profiles'], strict=True)
    by_size = {size: profile['parts'] for size, profile in profiles}
    backbone = [parts['backbone']['flops'] for parts in by_size.values()]
    assert backbone[1] == 2 * backbone[0]
    few, many = by_size[20, 64, 64, 1], by_size[150, 64, 64, 1]
    assert many['neck']['flops'] > few['neck']['flops']
    assert text.count('| decoder |') == 8
    assert 0 < few['total']['share'] < 1


def test_an_unknown_vocabulary_is_refused(run):
    with pytest.raises(SystemExit, match="Unknown vocabulary 'nothing_150'"):
        run('profile_model', '--vocabulary', 'nothing_150', '--repeat', '1')


def test_benchmark_of_the_fast_mode(run, tmp_path):
    out = tmp_path / 'new' / 'times.json'
    options = ('--shape', '64', '64', '--warmup', '0', '--repeat', '2')
    text = run('benchmark', *options, '--fast', 'bf16', 'resize', '--out', str(out))
    titles = re.findall(r'^(.*): 58 classes$', text, re.M)
    name = 'eovseg_tiny_shapeworld'
    assert titles == [name, f'{name} (bf16, resize)']
    assert len(re.findall(r'^total +([\d.]+) ms', text, re.M)) == 2
    assert 'times the median of the first model' in text
    card = json.loads(out.read_text())
    assert [x['name'] for x in card['runs']] == titles
    assert [len(x['seconds']['total']) for x in card['runs']] == [2, 2]
    assert card['hardware']['cpu'] and card['settings']['fast'] == ['bf16', 'resize']


@pytest.mark.slow
def test_training_steps_are_timed(run, tmp_path):
    out = tmp_path / 'new' / 'steps.json'
    text = run(
        *('benchmark_train', '--shape', '64', '96', '--targets', '3'),
        *('--batch-size', '2', '--warmup', '0', '--repeat', '2'),
        *('--dtype', 'float32', 'bfloat16', '--out', str(out)),
    )
    rows = re.findall(r'^\| 2 \| (\w+) \| ([\d.]+) \| ([\d.]+) \| ', text, re.M)
    assert [name for name, *_ in rows] == ['float32', 'bfloat16']
    assert all(float(x) > 0 for _, *numbers in rows for x in numbers)
    found = json.loads(out.read_text())['runs']
    assert [len(row['steps']) for row in found] == [2, 2]
    for row in found:
        assert row['images_per_second'] == pytest.approx(2 * row['steps_per_second'])
        assert 0 < row['shares']['matching'] < 1 - row['shares']['backward']
    with pytest.raises(SystemExit, match='has no optim_wrapper'):
        run('benchmark_train', config='eovseg_r50_zs-ade20k')
    with pytest.raises(SystemExit, match='trains a prompt alone'):
        run('benchmark_train', config='prompt_tiny_shapeworld-zs')


def test_float16_steps_need_a_gpu(run, capsys):
    with pytest.raises(SystemExit):
        run('benchmark_train', '--dtype', 'float16', '--device', 'cpu')
    assert 'float16 needs a GPU' in capsys.readouterr().err


def test_a_prompt_that_learns_is_encoded_in_every_step(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = runpy.run_path(str(TOOLS / 'benchmark_train.py'))
    found = []
    for config in ('eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs'):
        monkeypatch.setattr(sys, 'argv', ['tool', config, '--device=cpu'])
        model, _ = tool['build']('float32', tool['parse_args']())
        found.append('encode_vocabulary' in vars(model))
    assert found == [True, False]


def test_steps_train_on_boxes_of_every_image(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    tool = runpy.run_path(str(TOOLS / 'benchmark_train.py'))
    monkeypatch.setattr(sys, 'argv', ['tool', 'eovseg_tiny_shapeworld', '--device=cpu'])
    args = tool['parse_args']()
    args.shape, args.targets = [64, 96], 5
    model, wrapper = tool['build']('float32', args)
    batch = tool['draw_batch'](model, 2, args)
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        assert image.shape == (3, 64, 96) and image.dtype == torch.uint8
        masks = sample.gt_instances.masks
        assert masks.shape == (5, 64, 96) and masks.dtype == torch.bool
        areas = masks.flatten(1).sum(1)
        sides = masks.any(2).sum(1) * masks.any(1).sum(1)
        assert torch.equal(areas, sides) and areas.min() > 0
    before = [p.clone() for p in model.decoder.parameters()]
    seconds = tool['step'](model, wrapper, batch, time.perf_counter)
    assert min(seconds.values()) > 0
    assert seconds['matching'] < seconds['forward']
    pairs = zip(before, list(model.decoder.parameters()), strict=True)
    changed = [not torch.equal(*pair) for pair in pairs]
    assert sum(changed) > 0.9 * len(changed)


def read_speeds(text):
    rows = re.findall(r'^ +(\d+) +([\d.]+)$', text, re.M)
    return {int(batch): float(speed) for batch, speed in rows}


def test_benchmark_counts_images_per_second(run, tmp_path):
    options = ('--warmup', '0', '--repeat', '1', '--throughput', '1', '3')
    speeds = read_speeds(run('benchmark', *options, '--shape', '64', '64'))
    assert speeds.keys() == {1, 3} and min(speeds.values()) > 0
    for name in ('a', 'b'):
        Image.new('RGB', (32, 32)).save(tmp_path / f'{name}.png')
    out = tmp_path / 'speed.json'
    text = run('benchmark', *options, '--photos', str(tmp_path), '--out', str(out))
    found = [
        (x['batch_size'], x['images']) for x in json.loads(out.read_text())['runs']
    ]
    assert found == [(1, 2), (3, 2)]
    assert '2 photos, from the files to the segments' in text
    assert read_speeds(text).keys() == {1, 3}


def test_benchmark_refuses_what_cannot_be_timed(run, capsys):
    with pytest.raises(SystemExit, match=r"there are .*'bf16'"):
        run('benchmark', '--fast', 'fast')
    with pytest.raises(SystemExit, match='valid-masks cannot be drawn'):
        run(
            *('benchmark', '--fast', 'compile', '--valid-masks', '3'),
            config='deop_tiny_shapeworld-zs',
        )
    with pytest.raises(SystemExit):
        run('benchmark', '--photos', 'folder')
    assert 'needs --throughput' in capsys.readouterr().err


@pytest.mark.slow
def test_error_of_the_fast_mode(run, tmp_path, monkeypatch):
    draw = runpy.run_path(
        str(TOOLS.parent / 'dataset_converters' / 'make_shapeworld.py')
    )['main']
    options = ['--num-train', '1', '--num-val', '3', '--image-size', '64']
    out = ['draw', '--out', str(tmp_path / 'shapeworld')]
    monkeypatch.setattr(sys, 'argv', [*out, *options])
    draw()
    monkeypatch.setenv('MMOVSEG_DATA', str(tmp_path))
    text = run(
        *('fast_mode_error', 'shapeworld', '--num-images', '2'),
        *('--modes', 'resize', 'buckets=256', '--metrics', 'semantic/mIoU'),
    )
    text = text.partition('First 2 images')[2]  # behind the tables of the metrics
    rows = {
        cells[0]: cells[1:]
        for cells in re.findall(r'^\| ([\w=]+) \| (.*?) \| (.*?) \|$', text, re.M)
    }
    assert rows.keys() == {'exact', 'resize', 'buckets=256'}
    before, after = float(rows['exact'][0]), rows['buckets=256'][0]
    value, change = re.fullmatch(r'([\d.]+) \(([+-][\d.]+)\)', after).groups()
    assert float(value) - before == pytest.approx(float(change), abs=0.011)
    changed = float(rows['buckets=256'][1].removesuffix(' %'))
    assert 0 < changed < 50
    with pytest.raises(SystemExit, match=r"\['PQ'\]: there are .*panoptic/PQ"):
        run(
            *('fast_mode_error', 'shapeworld', '--num-images', '1'),
            *('--modes', 'resize', '--metrics', 'PQ'),
        )
