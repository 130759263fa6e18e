"""Install a wheel of mmovseg into an empty folder and use it from there.

Usage: python tests/test_packaging/check_wheel.py dist/mmovseg-*.whl
The dependencies come from the environment of this interpreter, mmovseg does not.
"""

import os
import subprocess
import sys
import tempfile

USE = """
import runpy
import sys
from pathlib import Path

import mmovseg

root = Path(mmovseg.__file__).parent
if root.parent != Path(sys.argv[1]).resolve():
    sys.exit(f'mmovseg was imported from {root}, not from the wheel.')

from mmengine.config import Config

from mmovseg.vocabulary import Vocabulary

vocabularies = sorted((root / 'vocabulary' / 'data').glob('*.txt'))
for path in vocabularies:
    Vocabulary.load(path.stem)
configs = [p for p in (root / '.mim' / 'configs').rglob('*.py') if '_base_' not in
           p.parts]
for path in configs:
    assert 'model' in Config.fromfile(path), path

# Configs of others take ours as base, and MMEngine's hub finds them.
from mmengine import hub

import mmovseg.registry

NAME = 'mmovseg::eovseg/eovseg_tiny_shapeworld.py'
Path('mine.py').write_text(
    f"_base_ = '{NAME}'\\nmodel = dict(fusion=dict(iou_thr=0.5))\\n"
)
mine = Config.fromfile('mine.py').model
assert mine.type == 'EOVSeg' and mine.fusion.iou_thr == 0.5, mine
assert hub.get_config(NAME).model.type == 'EOVSeg'
sys.argv = [str(root / '.mim' / 'tools' / 'train.py'), '--help']
try:
    runpy.run_path(sys.argv[0])['main']()
except SystemExit as end:
    assert not end.code
print(f'mmovseg {mmovseg.__version__}: {len(vocabularies)} vocabularies and '
      f'{len(configs)} configs load from the wheel.')
assert vocabularies and configs
"""


def check(wheel, folder):
    """Install ``wheel`` into ``folder``; raise if its data does not load."""
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '--quiet']
    install = ['install', '--no-deps', '--no-index', '--target', folder, wheel]
    subprocess.run([*pip, *install], check=True)
    env = dict(os.environ, PYTHONPATH=str(folder))
    done = subprocess.run(
        [sys.executable, '-c', USE, str(folder)],
        cwd=folder,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout.strip().splitlines()[-1]


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch:
        print(check(os.path.abspath(sys.argv[1]), os.path.realpath(scratch)))
