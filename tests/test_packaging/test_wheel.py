"""The wheel holds what the source tree holds, and works without it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mmovseg import __version__

ROOT = Path(__file__).resolve().parents[2]
FILES = ('pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE')
FILES += ('model-index.yml',)
FOLDERS = ('mmovseg', 'configs', 'tools', 'demo')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Build from a copy, so that no build folder is left in the source tree."""
    source = tmp_path_factory.mktemp('source')
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        ignore = shutil.ignore_patterns('__pycache__', '.mim')
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    target = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps']
    command += ['--no-build-isolation', '--no-index', '--wheel-dir', str(target)]
    subprocess.run([*command, str(source)], check=True)
    return next(target.glob('*.whl'))


def _files(*parts, pattern):
    folder = ROOT.joinpath(*parts)
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob(pattern)
        if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.mark.slow
def test_wheel_holds_package_data_and_mim_folders(wheel):
    assert wheel.name == f'mmovseg-{__version__}-py3-none-any.whl'
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        name for name in _files('mmovseg', pattern='*.py') if '.mim' not in name
    } <= (names)
    assert _files('mmovseg', 'vocabulary', 'data', pattern='*.txt') <= names
    for folder in ('tiny_clip', 'tiny_eovseg', 'tiny_fcclip'):
        assert _files('mmovseg', 'models', folder, pattern='*') <= names
    for folder in ('configs', 'tools', 'demo'):
        linked = {f'mmovseg/.mim/{name}' for name in _files(folder, pattern='*')}
        assert linked <= names
    assert 'mmovseg/.mim/model-index.yml' in names


def test_wheel_holds_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f'mmovseg-{__version__}.dist-info/'
    assert all(name.startswith(('mmovseg/', info)) for name in names)
    assert not [name for name in names if '__pycache__' in name]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_wheel_works_without_the_source_tree(wheel):
    script = Path(__file__).with_name('check_wheel.py')
    done = subprocess.run(
        [sys.executable, str(script), str(wheel)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'load from the wheel' in done.stdout
