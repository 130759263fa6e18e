"""What runs where mmcv has no compiled ops, and where there is no mmcv at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import importlib
import pkgutil
import runpy
import sys
from pathlib import Path

FORBIDDEN = ('mmcv.ops', 'mmdet.models', 'mmseg.models')


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in FORBIDDEN:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


sys.meta_path.insert(0, Blocker())
work_dir, config, draw = Path(sys.argv[1]), *sys.argv[2:]
sys.argv = [draw, '--out', str(work_dir / 'shapeworld')]
sys.argv += ['--num-train', '2', '--num-val', '2', '--image-size', '64']
runpy.run_path(draw)['main']()

import mmovseg

GRADIO = ('mmovseg.web.app', 'mmovseg.web.page')  # of the extra "web"
for module in pkgutil.walk_packages(mmovseg.__path__, 'mmovseg.'):
    if '.mim' not in module.name and module.name not in GRADIO:
        importlib.import_module(module.name)

from mmengine.runner import Runner

from mmovseg.apis import OVSegInferencer, load_config

options = {
    'work_dir': str(work_dir / 'work'),
    'train_cfg.max_iters': 2,
    'train_cfg.val_interval': 2,
    'train_dataloader.batch_size': 2,
    'train_dataloader.num_workers': 0,
    'train_dataloader.persistent_workers': False,
    'val_dataloader.num_workers': 0,
    'val_dataloader.persistent_workers': False,
    'model.text_classifier.templates': ['a {}'],  # of 63, which all take time
}
cfg = load_config(config, options)
runner = Runner.from_cfg(cfg)
runner.train()
assert 'val/panoptic/PQ' in runner.message_hub.log_scalars
checkpoint = work_dir / 'work' / 'iter_2.pth'
inferencer = OVSegInferencer(cfg, checkpoint)
image = next((work_dir / 'shapeworld' / 'val').glob('*.png'))
assert inferencer(str(image))['predictions']
found = [name for name in sys.modules if name.startswith(FORBIDDEN)]
assert not found, found
print('ran without', *FORBIDDEN)
"""


@pytest.mark.slow
def test_core_trains_evaluates_and_infers_without_compiled_ops(tmp_path):
    draw = ROOT / 'tools' / 'dataset_converters' / 'make_shapeworld.py'
    config = ROOT / 'configs' / 'eovseg' / 'eovseg_tiny_shapeworld.py'
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(tmp_path), str(config), str(draw)],
        env=dict(os.environ, MMOVSEG_DATA=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert 'ran without mmcv.ops' in done.stdout


LIGHT = """
import sys
from importlib.abc import MetaPathFinder


class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mmcv', 'mmdet', 'mmseg'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)


sys.meta_path.insert(0, Blocker())
import mmovseg.evaluation
import mmovseg.transforms
from mmovseg.apis import OVSegInferencer
from mmovseg.openmmlab import MissingPackageError
from mmovseg.shapeworld.drawing import draw_numbered

inferencer = OVSegInferencer('eovseg_tiny_shapeworld', 'shapeworld', device='cpu')
photo = draw_numbered(20, 'val', 0).image[..., ::-1].copy()
print('found', [x['name'] for x in inferencer(photo)['predictions'][0]['segments']])
for part in ('datasets', 'transforms.LoadPanopticAnnotations'):
    try:
        exec('import mmovseg.datasets' if part == 'datasets' else f'mmovseg.{part}()')
    except MissingPackageError as error:
        assert "pip install 'mmovseg[openmmlab]'" in str(error), error
    else:
        raise AssertionError(part)
pipeline = [dict(type='mmdet.Resize', scale=(9, 9)), dict(type='PackInputs')]
try:
    OVSegInferencer(
        'eovseg_tiny_shapeworld', 'shapeworld', cfg_options=dict(test_pipeline=pipeline)
    )
except MissingPackageError as error:
    print(error)
"""


@pytest.mark.slow
def test_inference_needs_no_openmmlab_but_mmengine():
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', LIGHT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "found ['" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("The transform 'mmdet.Resize' of the test pipeline needs")
