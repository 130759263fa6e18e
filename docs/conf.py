"""Sphinx builds the site from this folder: make docs."""

import os
import re
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.errors import ExtensionError
from sphinx.util import logging

from mmovseg.version import __version__

DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = 'mmovseg'
author = 'The mmovseg authors'
project_copyright = 'The mmovseg authors, Apache-2.0'
release = version = __version__

extensions = [
    'myst_nb',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'sphinx_copybutton',
]
exclude_patterns = ['_build']
myst_enable_extensions = ['colon_fence', 'dollarmath', 'amsmath']
myst_heading_anchors = 4
myst_url_schemes = {
    'http': None,
    'https': None,
    'mailto': None,
    # The source of a module, as sphinx.ext.viewcode shows it.
    'viewcode': {'url': '{{path}}.html'},
}
nb_execution_mode = 'off'  # .ci/notebooks.py runs them; their outputs are stored

autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'show-inheritance': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_math_renderer = 'mathml'  # MathJax comes from the network
html_theme = 'furo'
html_title = f'mmovseg {__version__}'
html_static_path = ['_static']
html_css_files = ['custom.css']
html_favicon = '_static/favicon.svg'  # or browsers ask for one, in vain
html_show_sphinx = False

# Pages of the site that show a file from outside this folder.
PAGES = {
    'CHANGELOG.md': 'changelog',
    'CONTRIBUTING.md': 'developer/contributing',
    'SECURITY.md': 'security_policy',
    'configs/eovseg/README.md': 'models/eovseg_results',
    'configs/deop/README.md': 'models/deop_results',
    'configs/fcclip/README.md': 'models/fcclip_results',
    'configs/training_free/README.md': 'models/training_free',
    'projects/README.md': 'developer/projects',
    'projects/mixing/README.md': 'developer/project_mixing',
    'projects/eovseg_ablations/README.md': 'developer/project_eovseg_ablations',
    'projects/shapeworld/configs/README.md': 'developer/project_shapeworld_configs',
    'projects/shapeworld/README.md': 'developer/project_shapeworld',
}

logger = logging.getLogger(__name__)
CODE = re.compile(r'(^(?:`{3,}|:{3,})[^\n]*\n.*?^(?:`{3,}|:{3,})[ \t]*$)', re.M | re.S)
LINK = re.compile(r'(?<=\])\((?P<target>[^)\s]+)\)')
SHOWN = re.compile(r'\A<!-- (\S+) -->\s*\Z')


def read_source(app, docname, source):
    """Show files from outside this folder, and check every link that leaves it."""
    page = DOCS / f'{docname}.md'
    shown = SHOWN.match(source[0])
    origin = ROOT / shown[1] if shown else page
    if shown:
        source[0] = origin.read_text()
        app.env.note_dependency(str(origin))

    def replace(match):
        target, _, anchor = match['target'].partition('#')
        if not target or ':' in target:
            return match[0]
        path = (origin.parent / target).resolve()
        if not path.exists():
            logger.warning('%s links to %s, which does not exist', docname, target)
            return match[0]
        path = find_page(path)
        if path.suffix == '.md' and not path.is_relative_to(DOCS):
            logger.warning('%s links to %s: add it to PAGES', docname, target)
        if path.suffix == '.py' and path.is_relative_to(ROOT / 'mmovseg'):
            module = path.relative_to(ROOT).with_suffix('').as_posix()
            module = module.removesuffix('/__init__')
            app.env.source_links = getattr(app.env, 'source_links', set()) | {module}
            up = '../' * docname.count('/')
            return f'(viewcode:{up}_modules/{module})'
        link = Path(os.path.relpath(path, page.parent)).as_posix()
        return f'({link}#{anchor})' if anchor and path.suffix == '.md' else f'({link})'

    parts = CODE.split(source[0])
    parts[::2] = [LINK.sub(replace, part) for part in parts[::2]]
    source[0] = ''.join(parts)


def find_page(path):
    """Return the page that shows a file or folder, or a file to download."""
    if path.is_dir():
        readme, init = path / 'README.md', path / '__init__.py'
        files = sorted(x for x in path.iterdir() if x.is_file())
        path = next(x for x in (readme, init, *files) if x.exists())
    name = path.relative_to(ROOT).as_posix()
    return DOCS / f'{PAGES[name]}.md' if name in PAGES else path


def check_sources(app, exception):
    """Check that the links to sources lead to pages that viewcode has made."""
    if exception or app.builder.name != 'html':
        return
    links = sorted(getattr(app.env, 'source_links', ()))
    modules = Path(app.outdir) / '_modules'
    missing = [x for x in links if not (modules / f'{x}.html').exists()]
    if missing:
        raise ExtensionError(f'The API reference has no name of {", ".join(missing)}')


def write_math(self, node):
    """Write a formula inside a line."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def write_math_block(self, node):
    """Write a formula with its own lines."""
    formula = convert(node.astext(), display='block')
    self.body.append(f'<div class="math-block">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Register the hooks."""
    app.add_html_math_renderer('mathml', (write_math, None), (write_math_block, None))
    app.connect('source-read', read_source)
    app.connect('build-finished', check_sources)
