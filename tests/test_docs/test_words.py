"""Pages and public docstrings avoid the phrases of words.txt."""

import ast
import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORDS = Path(__file__).parent / 'words.txt'
PAGES = [
    *(ROOT / x for x in ('README.md', 'CONTRIBUTING.md', 'SECURITY.md')),
    *(ROOT / 'docs').rglob('*.md'),
]
# Notes on measurements are a log; the others are being rewritten elsewhere.
LATER = (
    'docs/command_line.md',
    'docs/labels.md',
    'docs/measurements',
    'docs/mixing.md',
    'mmovseg/apis/zoo.py',
    'mmovseg/cli',
    'mmovseg/labels',
    'mmovseg/models/backbones',
    'mmovseg/models/necks',
    'mmovseg/models/proposals',
    'mmovseg/models/segmentors',
)


def read_words():
    """Return patterns and what to write instead."""
    words = {}
    for line in WORDS.read_text().splitlines():
        if line and not line.startswith('#'):
            phrase, advice = line.split(' -> ')
            choices = [
                part.strip('[]').split('|')
                for part in re.split(r' (?![^\[]*\])', phrase)
            ]
            for words_of in itertools.product(*choices):
                pattern = r'\s+'.join(map(re.escape, words_of))
                words[re.compile(rf'(?<![\w-]){pattern}(?![\w-])', re.I)] = advice
    return words


def find(text):
    """Return the phrases of a text, with their advice."""
    text = re.sub(r'```.*?```', '', text, flags=re.S)
    return [
        f'{" ".join(match[0].split())!r}: {advice}'
        for pattern, advice in read_words().items()
        for match in pattern.finditer(text)
    ]


def public_docstrings(path):
    """Yield name and docstring of what a module shows."""
    tree = ast.parse(path.read_text())
    todo = [('module', tree)]
    while todo:
        name, node = todo.pop()
        yield name, ast.get_docstring(node) or ''
        if isinstance(node, ast.FunctionDef):
            continue
        for child in node.body:
            named = isinstance(child, (ast.ClassDef, ast.FunctionDef))
            if named and not child.name.startswith('_'):
                todo.append((child.name, child))


def is_later(path):
    return path.relative_to(ROOT).as_posix().startswith(LATER)


@pytest.mark.parametrize('path', [x for x in PAGES if not is_later(x)], ids=str)
def test_pages(path):
    assert not find(path.read_text())


def test_public_docstrings():
    found = [
        f'{path.relative_to(ROOT)}, {name}: {phrase}'
        for path in sorted((ROOT / 'mmovseg').rglob('*.py'))
        if not is_later(path)
        for name, text in public_docstrings(path)
        for phrase in find(text)
    ]
    assert not found, '\n'.join(found)


@pytest.mark.parametrize(
    'text, count',
    [
        ('a process of its own', 1),
        ('A mask\nstands in   for it', 1),
        ('Beside the model', 1),
        ('besides, it is what it is', 0),
        ('```\nbeside\n```', 0),
    ],
)
def test_the_linter(text, count):
    assert len(find(text)) == count


def test_no_exception_is_left_over():
    assert all((ROOT / path).exists() for path in LATER if path.startswith('mmovseg'))
