"""Links of Markdown files lead to files that exist, and every page is on the site."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ('configs', 'demo', 'docs', 'projects', 'tests')
PAGES = [
    *ROOT.glob('*.md'),
    *(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob('*.md')
        if '_build' not in path.parts
    ),
]
LINK = re.compile(r'\]\(([^)\s]+)\)|<img src="([^"]+)"')


def find_broken(text, folder):
    """Return the targets that do not exist, as seen from a folder."""
    text = re.sub(r'```.*?```|`[^`\n]*`', '', text, flags=re.S)
    targets = [a or b for a, b in LINK.findall(text)]
    paths = [x.partition('#')[0] for x in targets if ':' not in x]
    return [x for x in paths if x and not (folder / x).exists()]


@pytest.mark.parametrize('path', PAGES, ids=lambda x: str(x.relative_to(ROOT)))
def test_links(path):
    assert not find_broken(path.read_text(), path.parent)


def test_a_broken_link_is_found():
    assert find_broken('[a](nothing.md#b) [c](#d) [e](README.md)', ROOT) == [
        'nothing.md'
    ]


def test_every_page_is_in_the_contents():
    docs = ROOT / 'docs'
    listed = set()
    for path in docs.rglob('index.md'):
        for block in re.findall(r'```{toctree}\n(.*?)```', path.read_text(), re.S):
            names = re.findall(r'^(?!:)(?:.* <)?([^\s<>]+)>?$', block, re.M)
            listed |= {(path.parent / name).resolve() for name in names}
    pages = {x.with_suffix('') for x in PAGES if x.is_relative_to(docs)}
    pages |= {x.with_suffix('') for x in docs.glob('notebooks/*.ipynb')}
    assert pages - {docs / 'index'} == listed
