"""The commands of the pages in docs/ name tools, options and configs that exist."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from mmovseg.apis.config import load_config
from mmovseg.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
# A test of its own runs those of custom_dataset.md.
PAGES = (
    'ablations',
    'deployment',
    'measurements/performance_notes',
    'peers',
    'performance',
    'shapeworld',
    'tiny_clip',
)


def find_commands(page):
    """Return what the shell blocks of a page give to Python, word by word."""
    text = (ROOT / 'docs' / f'{page}.md').read_text()
    blocks = re.findall(r'```shell\n(.*?)```', text, re.DOTALL)
    lines = [line for x in blocks for line in x.replace('\\\n', '').splitlines()]
    words = [shlex.split(line, comments=True) for line in lines]
    return [
        line[place + 1 :]
        for line in words
        for place, word in enumerate(line)
        if Path(word).name == 'python'
    ]


def name_of(command):
    """Return the tool of a command: the file, or the module of ``python -m``."""
    if command[0] == '-m':
        return command[1].rpartition('.')[2]
    return Path(command[0]).stem


COMMANDS = [
    pytest.param(command, id=f'{page}-{name_of(command)}')
    for page in PAGES
    for command in find_commands(page)
]


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_are_understood(command, monkeypatch):
    if command[0] == '-m':
        monkeypatch.setattr(sys, 'argv', command[1:])
        tool = runpy.run_module(command[1])
    else:
        monkeypatch.setattr(sys, 'argv', command)
        tool = runpy.run_path(str(ROOT / command[0]))
    args = tool['parse_args']()
    configs = [*getattr(args, 'configs', []), getattr(args, 'config', None)]
    configs.append(getattr(args, 'data_of', None))
    for config in filter(None, configs):
        path = ROOT / config
        assert load_config(str(path) if path.is_file() else config).model
    names = getattr(args, 'vocabulary', None)
    for name in filter(None, [names] if isinstance(names, str) else names or []):
        assert len(Vocabulary.load(name)) > 100


@pytest.mark.parametrize(
    'page, tools',
    [
        ('performance', {'profile_model', 'compare_reference', 'fast_mode_error'}),
        ('peers', {'benchmark_peers'}),
        ('deployment', {'export'}),
    ],
)
def test_pages_have_the_commands_of_their_tools(page, tools):
    assert tools <= {name_of(command) for command in find_commands(page)}
