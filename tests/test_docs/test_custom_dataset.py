"""Everything docs/custom_dataset.md tells a reader to do, in its order."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'docs' / 'custom_dataset.md').read_text()
BLOCKS = re.findall(r'```(\w+)\n(.*?)```', TEXT, re.DOTALL)


def write_files(root):
    """Write the blocks that begin with the path of a file."""
    for language, code in BLOCKS:
        path = code.splitlines()[0].removeprefix('# ')
        if language != 'shell' and code.startswith('# '):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(code)


def commands():
    return [
        shlex.split(line)
        for language, code in BLOCKS
        if language == 'shell'
        for line in code.splitlines()
    ]


@pytest.fixture(scope='module')
def outputs(tmp_path_factory):
    """Run all commands in a folder like the repository; return what they print."""
    root = tmp_path_factory.mktemp('walk')
    for name in ('tools', 'configs'):
        (root / name).symlink_to(ROOT / name)
    write_files(root)
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for python, script, *arguments in commands():
            assert python == 'python'
            outputs.append(run(patch, script, arguments))
    return root, outputs


def run(patch, script, arguments):
    patch.setattr(sys, 'argv', [script, *arguments])
    code, text = 0, io.StringIO()
    with contextlib.redirect_stdout(text):
        try:
            runpy.run_path(script, run_name='__main__')
        except SystemExit as ended:
            code = ended.code or 0
    return code, text.getvalue()


@pytest.mark.slow
def test_the_walk_has_all_its_steps(outputs):
    _, results = outputs
    scripts = [Path(script).stem for _, script, *_ in commands()]
    assert scripts == [
        *('draw', 'vocabulary_report', 'validate_dataset', 'validate_dataset'),
        *('train', 'test', 'validate_dataset', 'train'),
    ]
    assert [code for code, _ in results] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert 'Seen in A: 2 of 3 classes of B' in results[1][1]


def test_ten_images_are_sound(outputs):
    root, results = outputs
    text = results[2][1]
    shown = next(code for _, code in BLOCKS if code.startswith('== train'))
    assert shown in text
    assert '0 problems in 2 datasets.' in text
    assert len(list((root / 'data/mine').glob('*/*.png'))) == 30
    pictures = [path.name for path in (root / 'work_dirs/mine/pictures').iterdir()]
    assert sum(name.startswith('train_') for name in pictures) == 4
    assert sum(name.startswith('val_') for name in pictures) == 2
    assert '0 problems in 2 datasets.' in results[6][1]


def test_missing_files_are_named(outputs):
    assert 'PROBLEM: missing or broken files' in outputs[1][3][1]


def test_both_models_train_and_are_scored(outputs):
    root, _ = outputs
    work = root / 'work_dirs' / 'mine'
    assert len(list((work / 'predictions').glob('*.png'))) == 2
    for folder, name in (('panoptic', 'panoptic/PQ'), ('semantic', 'semantic/mIoU')):
        (log,) = (work / folder).glob('*/*.log')
        assert re.search(rf'Iter\(val\).*{name}: +[\d.]+', log.read_text())
