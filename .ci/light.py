"""Install a wheel into a new environment, without mmcv, mmdet and mmseg, and use it.

Usage: python .ci/light.py dist/mmovseg-*.whl
Prints seconds and size of the install. light_check.py says what has to work.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def measure(folder):
    """Return the size of the files of a folder in MB, without links."""
    files = (path for path in folder.rglob('*') if not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file()) / 1e6


def install(python, *what):
    """Install packages in the tested versions, and say what it took."""
    pins = ROOT / 'requirements/constraints.txt'
    start = time.monotonic()
    pip = [python, '-m', 'pip', '--disable-pip-version-check', 'install', '-q']
    subprocess.run([*pip, '-c', pins, *what], check=True)
    seconds = time.monotonic() - start
    folder = next(python.parents[1].glob('lib/python*/site-packages'))
    torch = sum(
        measure(folder / name)
        for name in ('torch', 'nvidia', 'triton', 'torchvision')
        if (folder / name).is_dir()
    )
    print(
        f'pip install {what[-1]}: {seconds:.0f} s, {measure(folder):.0f} MB, of which '
        f'{torch:.0f} MB are PyTorch with its GPU libraries.',
        flush=True,
    )


def use(python, folder, *options):
    """Run the checks in the environment, from a folder without a clone."""
    environ = {k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    environ['MMOVSEG_CACHE'] = str(folder / 'cache')
    script = ROOT / '.ci/light_check.py'
    subprocess.run([python, script, *options], check=True, cwd=folder, env=environ)


def main(wheel):
    wheel = Path(wheel).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run([sys.executable, '-m', 'venv', folder / 'venv'], check=True)
        python = folder / 'venv/bin/python'
        install(python, str(wheel))
        use(python, folder)
        install(python, f'{wheel}[export,transformers]')
        use(python, folder, '--extras')


if __name__ == '__main__':
    main(*sys.argv[1:])
