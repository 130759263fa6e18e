"""The whole core runs where mmcv has no compiled ops and mmdet no models."""

import os
import subprocess
import sys
from pathlib import Path

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

for module in pkgutil.walk_packages(mmovseg.__path__, 'mmovseg.'):
    if '.mim' not in module.name:
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
