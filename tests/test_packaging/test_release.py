"""A release is refused when anything is untested."""

import json
import subprocess

import pytest
from golden_utils import ROOT, load_module

FILES = {
    'mmovseg/version.py': "__version__ = '1.2.3'\n",
    'CHANGELOG.md': '# Changelog\n\n## 1.2.3 (2026-01-01)\n\n## 1.2.2\n',
    'CITATION.cff': 'cff-version: 1.2.0\nversion: 1.2.3\n',
    'pyproject.toml': '"Programming Language :: Python :: 3.10",\n'
    '"Programming Language :: Python :: 3.11",\n',
    '.gitignore': 'work_dirs/\n',
}


@pytest.fixture(scope='module')
def release():
    return load_module(ROOT / '.ci/release.py')


@pytest.fixture
def clone(tmp_path):
    """A small project of which everything is tested."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, 'init', '-q')
    commit_all(tmp_path)
    return tmp_path


def git(folder, *arguments):
    who = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    command = ['git', '-C', str(folder), *who, *arguments]
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit_all(folder):
    """Commit what changed, and note that the commit is tested."""
    git(folder, 'add', '-A')
    git(folder, 'commit', '-qm', 'change')
    commit = git(folder, 'rev-parse', 'HEAD')
    (folder / 'work_dirs').mkdir(exist_ok=True)
    (folder / 'work_dirs/ci_passed').write_text(f'{commit}\n')
    (folder / 'work_dirs/bench.json').write_text(json.dumps(dict(commit=commit)))


def faults(release, clone):
    return release.list_faults(clone, find=lambda name: f'/bin/{name}')


def test_a_tested_commit_can_be_released(release, clone):
    assert faults(release, clone) == []


@pytest.mark.parametrize('name', ['ci_passed', 'bench.json'])
def test_what_did_not_run_is_named(release, clone, name):
    (clone / 'work_dirs' / name).unlink()
    [fault] = faults(release, clone)
    assert {'ci_passed': '.ci/run', 'bench.json': 'make bench'}[name] in fault


def test_what_ran_on_another_commit_does_not_count(release, clone):
    git(clone, 'commit', '-q', '--allow-empty', '-m', 'untested')
    assert len(faults(release, clone)) == 2


def test_uncommitted_files_are_named(release, clone):
    (clone / 'new.py').write_text('')
    [fault] = faults(release, clone)
    assert 'new.py' in fault


@pytest.mark.parametrize('tag', ['1.2.3', 'v1.2.3'])
def test_a_version_is_released_once(release, clone, tag):
    git(clone, 'tag', tag)
    [fault] = faults(release, clone)
    assert '1.2.3' in fault and 'version.py' in fault


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('CHANGELOG.md', '# Changelog\n\n## Unreleased\n'),
        ('CITATION.cff', 'version: 1.2.2\n'),
    ],
)
def test_every_file_has_the_version(release, clone, name, text):
    (clone / name).write_text(text)
    commit_all(clone)
    [fault] = faults(release, clone)
    assert name in fault


def test_a_python_that_is_not_here_is_named(release, clone):
    found = {'python3.11': '/bin/python3.11'}.get
    [fault] = release.list_faults(clone, find=found)
    assert '3.10' in fault and '3.11' not in fault
