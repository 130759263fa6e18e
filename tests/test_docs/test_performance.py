"""The commands of docs/performance.md name tools, options and configs that exist."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from mmovseg.apis.config import load_config
from mmovseg.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'docs' / 'performance.md').read_text()
BLOCKS = re.findall(r'```shell\n(.*?)```', TEXT, re.DOTALL)
COMMANDS = [
    shlex.split(line)
    for block in BLOCKS
    for line in block.replace('\\\n', '').splitlines()
    if line.startswith('python ')
]


@pytest.mark.parametrize('command', COMMANDS, ids=lambda x: Path(x[1]).stem)
def test_commands_are_understood(command, monkeypatch):
    monkeypatch.setattr(sys, 'argv', command[1:])
    # As when it is run: some tools import their neighbours.
    monkeypatch.syspath_prepend(str((ROOT / command[1]).parent))
    args = runpy.run_path(str(ROOT / command[1]))['parse_args']()
    configs = [*getattr(args, 'configs', []), getattr(args, 'config', None)]
    configs.append(getattr(args, 'data_of', None))
    for config in filter(None, configs):
        path = ROOT / config
        assert load_config(str(path) if path.is_file() else config).model
    for name in getattr(args, 'vocabulary', None) or []:
        assert len(Vocabulary.load(name)) > 100


def test_the_page_has_commands_for_every_tool():
    tools = {Path(command[1]).stem for command in COMMANDS}
    assert tools >= {'profile_model', 'compare_reference', 'benchmark_data', 'train'}
