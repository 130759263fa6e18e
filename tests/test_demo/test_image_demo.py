"""demo/image_demo.py from a user's side, with an untrained tiny model."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmovseg.apis import zoo
from mmovseg.models.segmentors import EOVSeg
from mmovseg.registry import MODELS
from mmovseg.shapeworld.drawing import CLASSES, draw_numbered

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = sorted((ROOT / 'demo/images').glob('*.jpg'))


@pytest.fixture(scope='module')
def demo():
    spec = importlib.util.spec_from_file_location(
        'image_demo', ROOT / 'demo/image_demo.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@MODELS.register_module(force=True)
class EOVSegWithHeatmaps(EOVSeg):
    """Stands in for DeOP: every query looks at the middle of the photo."""

    def segment(self, inputs, text):
        (*rest, last) = super().segment(inputs, text)
        heatmaps = torch.zeros(*last.mask_logits.shape[:2], 5, 5)
        heatmaps[..., 2, 2] = 0.1
        return [*rest, last._replace(heatmaps=heatmaps)]


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = ROOT / 'configs/_base_'
    path.write_text(f"""
_base_ = [{str(base / 'models/eovseg_tiny.py')!r}]
default_scope = 'mmovseg'
model = dict(train_vocabulary=['cat', 'grass'])
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale=(256, 128), keep_ratio=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('ori_shape', 'img_shape')),
]
""")
    return str(path)


def test_the_photos_are_there():
    assert [x.name for x in PHOTOS] == ['chelsea.jpg', 'coffee.jpg']
    readme = (ROOT / 'demo/images/README.md').read_text()
    for photo in PHOTOS:
        assert f'`{photo.name}`' in readme
        assert max(Image.open(photo).size) <= 512


@pytest.mark.slow
def test_command_line(config, tmp_path):
    """As typed; no torch warnings count, only the exit status and the files."""
    command = [sys.executable, ROOT / 'demo/image_demo.py', *PHOTOS]
    command += ['--config', config, '--classes', 'cat, cup; mug, stuff: table']
    command += ['--out-dir', tmp_path / 'out', '--batch-size', '2', '--device', 'cpu']
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    assert done.returncode == 0, done.stderr
    assert '2 photos done' in done.stdout
    for photo in PHOTOS:
        width, height = Image.open(photo).size
        record = json.loads((tmp_path / f'out/{photo.stem}.json').read_text())
        assert (record['width'], record['height']) == (width, height)
        for segment in record['segments']:
            assert segment['name'] in ('cat', 'cup', 'table')
            assert segment['isthing'] == (segment['name'] != 'table')
        labels = np.asarray(Image.open(tmp_path / f'out/{photo.stem}_labels.png'))
        ids = labels.astype(int) @ [1, 256, 65536]
        for segment in record['segments']:
            assert (ids == segment['id']).sum() == segment['area']
        overlay = Image.open(tmp_path / f'out/{photo.stem}_overlay.png')
        assert overlay.size[0] == width


@pytest.mark.parametrize('task', ['instance', 'semantic'])
def test_other_tasks(demo, config, task, tmp_path):
    arguments = [str(PHOTOS[0]), '--config', config, '--task', task]
    arguments += ['--device', 'cpu', '--out-dir', str(tmp_path), '--score-thr', '0']
    assert demo.main(arguments) == 0
    record = json.loads((tmp_path / 'chelsea.json').read_text())
    assert record['task'] == task
    labels = np.asarray(Image.open(tmp_path / 'chelsea_labels.png'))
    assert labels.dtype == np.uint8
    assert labels.ndim == 2


def test_heatmaps(demo, config, tmp_path):
    other = tmp_path / 'with_heatmaps.py'
    other.write_text(f"""
_base_ = [{config!r}]
model = dict(type='EOVSegWithHeatmaps')
""")
    arguments = [str(PHOTOS[0]), '--config', str(other), '--device', 'cpu']
    arguments += ['--out-dir', str(tmp_path / 'out'), '--show-heatmaps', 'grass, cat']
    assert demo.main(arguments) == 0
    assert len(list((tmp_path / 'out').iterdir())) == 4
    drawn = np.asarray(Image.open(tmp_path / 'out/chelsea_heatmaps.png')).astype(int)
    photo = Image.open(PHOTOS[0])
    width, height = photo.size
    assert drawn.shape[1] == 3 * width + 2 * 8
    panels = drawn[-height:]
    assert (panels[:, :width] == np.asarray(photo)).all()
    redness = panels[..., 0] - panels[..., 2]  # the photo under it is grey
    for left in (width + 8, 2 * (width + 8)):
        center = redness[height // 2, left + width // 2]
        assert center > redness[height // 8, left + width // 8] + 80


def test_folder_with_one_bad_file(demo, config, tmp_path, capsys):
    for photo in PHOTOS:
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / 'broken.jpg').write_bytes(PHOTOS[0].read_bytes()[:5000])
    out = tmp_path / 'out'
    status = demo.main(
        [str(tmp_path), '--config', config, '--device', 'cpu', '--out-dir', str(out)]
    )
    assert status == 1
    assert len(list(out.iterdir())) == 6
    printed = capsys.readouterr()
    assert '2 photos done' in printed.out
    assert 'broken.jpg is cut off' in printed.err


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--classes', 'cat, cat'], 'cat'),
        (['--classes', ' , '], 'blank|empty|least one'),
        (['--config', 'eovseg_r5_coco'], 'eovseg_r50_coco'),
        (['--checkpoint', 'missing.pth'], 'missing.pth does not exist'),
        (['--show-heatmaps', 'cat'], 'gave no heatmaps'),
        (['--show-heatmaps', 'cat, gras'], "'gras'.*Did you mean 'grass'"),
    ],
)
def test_mistakes_are_explained(demo, config, arguments, message, capsys, tmp_path):
    common = [str(PHOTOS[0]), '--config', config, '--device', 'cpu', '--out-dir']
    assert demo.main([*common, str(tmp_path / 'out'), *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / 'out').exists()


def test_a_drawing_has_a_seed_that_can_be(demo, capsys):
    with pytest.raises(SystemExit):
        demo.parse_args(['--seed', '-1'])
    assert '--seed must be from 0 to 2**32 - 1, got -1' in capsys.readouterr().err


def test_checkpoint_with_code_is_refused(demo, config, tmp_path, capsys):
    torch.save(dict(state_dict={}, meta=torch.nn.Linear(1, 1)), tmp_path / 'a.pth')
    arguments = [str(PHOTOS[0]), '--config', config, '--device', 'cpu']
    arguments += ['--checkpoint', str(tmp_path / 'a.pth')]
    assert demo.main(arguments) == 2
    assert '--trust-checkpoint' in capsys.readouterr().err


def test_no_usable_photo(demo, config, tmp_path, capsys):
    (tmp_path / 'a.png').write_bytes(b'')
    out = tmp_path / 'out'
    arguments = ['--config', config, '--device', 'cpu', '--out-dir', str(out)]
    assert demo.main([str(tmp_path / 'a.png'), *arguments]) == 1
    assert not out.exists()
    assert 'a.png is empty' in capsys.readouterr().err


@pytest.mark.parametrize('out', ['photos', 'a_file', 'a_file/below'])
def test_a_wrong_folder_for_results_is_told_first(
    demo, config, tmp_path, capsys, monkeypatch, out
):
    """Before the model is built, and with a status of its own."""
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'a_file').touch()
    photo = tmp_path / 'photos' / 'a.png'
    photo.write_bytes(PHOTOS[0].read_bytes())
    monkeypatch.setattr('mmovseg.apis.OVSegInferencer', None)
    for given in (photo, photo.parent):
        arguments = [str(given), '--config', config, '--out-dir', str(tmp_path / out)]
        assert demo.main(arguments) == 3
        assert f'the folder {tmp_path / out}: ' in capsys.readouterr().err
    assert os.listdir(photo.parent) == ['a.png']


def test_a_disk_that_fills_has_a_status_of_its_own(
    demo, config, tmp_path, capsys, monkeypatch
):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    arguments = [str(PHOTOS[0]), '--config', config, '--out-dir', str(tmp_path / 'out')]
    assert demo.main([*arguments, '--device', 'cpu']) == 3
    assert 'No space left' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


# The packaged model.


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_nothing_to_name_at_all(demo, packaged, tmp_path, capsys):
    assert demo.main([]) == 0
    printed = capsys.readouterr().out
    assert 'The model is tiny, which comes with the package' in printed
    assert 'drawings, label maps, lists: outputs' in printed
    photo = np.asarray(Image.open(tmp_path / 'outputs/photos/shapeworld_20.png'))
    assert (photo == draw_numbered(20, 'val', 0).image).all()
    record = json.loads((tmp_path / 'outputs/shapeworld_20.json').read_text())
    assert record['segments']
    assert {segment['name'] for segment in record['segments']} <= set(CLASSES)
    overlay = Image.open(tmp_path / 'outputs/shapeworld_20_overlay.png')
    assert overlay.size[0] >= photo.shape[1]


def test_a_photo_and_words_alone(demo, packaged, tmp_path, capsys):
    arguments = [str(PHOTOS[0]), '--vocabulary', 'disc, stuff: wood']
    assert demo.main([*arguments, '--out-dir', 'out']) == 0
    assert 'comes with the package' in capsys.readouterr().out
    record = json.loads((tmp_path / 'out/chelsea.json').read_text())
    assert {segment['name'] for segment in record['segments']} <= {'disc', 'wood'}
    assert not list((tmp_path / 'out').glob('shapeworld*'))


def test_a_config_of_ones_own_never_gets_packaged_weights(demo, config, tmp_path):
    arguments = ['--config', config, '--out-dir', str(tmp_path), '--device', 'cpu']
    with pytest.warns(UserWarning, match='has not been trained'):
        assert demo.main([*arguments, '--seed', '3']) == 0
    assert (tmp_path / 'shapeworld_3_overlay.png').is_file()


def test_an_installation_without_the_packaged_checkpoint(demo, monkeypatch, capsys):
    tiny = zoo.find_model('tiny')._replace(weights='nowhere.safetensors')
    monkeypatch.setattr(zoo, 'list_models', lambda: (tiny,))
    assert demo.main([]) == 2
    error = capsys.readouterr().err
    assert re.search(r"error: .*'tiny' are not in this .*nowhere", error)
