"""Build the files of a release, or say why this commit cannot be released.

Usage: make release
It refuses a commit that is not tested: `.ci/run` has to have passed on it, and `make
bench BASE=TAG` to have run on it. Wheel and source distribution are then installed into
a new environment of every supported Python, and used there. It publishes nothing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 30  # of a wheel


def git(root, *arguments):
    """Return what git prints."""
    command = ['git', '-C', str(root), *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


def read(pattern, path):
    """Return what a pattern finds first in a file, or None."""
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    return found and found[1]


def list_pythons(root):
    """Return the versions of Python that the package says it supports."""
    text = (root / 'pyproject.toml').read_text()
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', text)


def list_faults(root, find=shutil.which):
    """Return why the commit cannot be released, as sentences.

    Args:
        root: A clone.
        find: Finds a program by name, or returns None.
    """
    faults = []
    version = read(r"__version__ = '(.+)'", root / 'mmovseg/version.py')
    commit = git(root, 'rev-parse', 'HEAD')
    if changed := git(root, 'status', '--porcelain'):
        faults.append(f'Files are not committed:\n{changed}')
    if version in git(root, 'tag', '--list', version, f'v{version}'):
        faults.append(f'There is a tag {version}: raise mmovseg/version.py.')
    heading = read(r'^## (.+)$', root / 'CHANGELOG.md')
    if not heading or heading.split()[0] != version:
        faults.append(
            f'CHANGELOG.md begins with {heading!r}, the version is {version}: name the '
            'version and the day there.'
        )
    cited = read(r'^version: (.+)$', root / 'CITATION.cff')
    if cited != version:
        faults.append(f'CITATION.cff has version {cited}, not {version}.')
    passed = root / 'work_dirs/ci_passed'
    if not passed.is_file() or passed.read_text().strip() != commit:
        faults.append(f'.ci/run has not passed on {commit[:9]}: run bash .ci/run')
    bench = root / 'work_dirs/bench.json'
    if not bench.is_file() or json.loads(bench.read_text()).get('commit') != commit:
        faults.append(f'Speed is untested on {commit[:9]}: run make bench BASE=TAG')
    missing = [x for x in list_pythons(root) if find(f'python{x}') is None]
    if missing:
        faults.append(
            f'Python {", ".join(missing)} is not installed, so the package is untested '
            f'there: put python{missing[0]} into PATH.'
        )
    return faults


def build(folder):
    """Build the source distribution, and the wheel from it; return both."""
    build = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, ROOT]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    [wheel] = Path(folder).glob('*.whl')
    [source] = Path(folder).glob('*.tar.gz')
    for path in (wheel, source):
        size = path.stat().st_size / 1e6
        print(f'{path.name}: {size:.1f} MB', flush=True)
        if size > MOST_MB:
            sys.exit(f'error: {path.name} is larger than {MOST_MB} MB.')
    check = [sys.executable, '-m', 'twine', 'check', '--strict', wheel, source]
    subprocess.run(check, check=True)
    return wheel, source


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--build', type=Path, metavar='FOLDER', help='only build and check the files'
    )
    args = parser.parse_args()
    if args.build:
        shutil.rmtree(args.build, ignore_errors=True)
        build(args.build)
        return
    faults = list_faults(ROOT)
    if faults:
        sys.exit('error: This commit cannot be released.\n- ' + '\n- '.join(faults))
    with tempfile.TemporaryDirectory() as scratch:
        files = build(scratch)
        for version in list_pythons(ROOT):
            for path in files:
                python = shutil.which(f'python{version}')
                subprocess.run([python, ROOT / '.ci/light.py', path], check=True)
        shutil.rmtree(ROOT / 'dist', ignore_errors=True)
        shutil.copytree(scratch, ROOT / 'dist')
    version = read(r"__version__ = '(.+)'", ROOT / 'mmovseg/version.py')
    print(f'Ready: git tag v{version} && twine upload dist/*')


if __name__ == '__main__':
    main()
