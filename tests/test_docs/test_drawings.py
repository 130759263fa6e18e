"""The drawings of architectures are up to date, and name classes that exist."""

import runpy
from pathlib import Path

import pytest

import mmovseg
import mmovseg.models as models
from mmovseg.apis import Result
from mmovseg.models.structures import TextEmbeddings
from mmovseg.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = runpy.run_path(str(ROOT / 'docs/drawings/architectures.py'))
OTHERS = {
    'PatchSeveranceLayer': models.layers.PatchSeveranceLayer,
    **{x.__name__: x for x in (Result, TextEmbeddings, Vocabulary)},
}


@pytest.mark.parametrize('name', SCRIPT['DRAWINGS'])
def test_drawing(name):
    boxes, arrows = SCRIPT['DRAWINGS'][name]
    svg = ROOT / f'docs/images/architecture_{name}.svg'
    assert svg.read_text() == SCRIPT['draw'](boxes, arrows), (
        'run python docs/drawings/architectures.py'
    )
    for box in boxes.values():
        if box.name:
            thing = OTHERS.get(box.name) or getattr(models, box.name)
            assert thing.__name__ == box.name
    page = (ROOT / f'docs/models/{name}.md').read_text()
    for box in boxes.values():
        if box.kind == 'trained':
            assert f'[`{box.name}`](' in page or f'[`{box.name}.' in page


def test_chart():
    script = runpy.run_path(str(ROOT / 'docs/drawings/quality_and_time.py'))
    svg = ROOT / 'docs/images/quality_and_time.svg'
    assert svg.read_text() == script['draw']()
    for name, (quality, _) in script['MODELS'].items():
        folder = 'eovseg' if 'EOV' in name else 'fcclip'
        assert f'| {quality} |' in (ROOT / f'configs/{folder}/README.md').read_text()


def test_badges():
    script = runpy.run_path(str(ROOT / 'docs/drawings/badges.py'))
    for label, text in script['read_facts']().items():
        svg = ROOT / f'docs/images/badge_{label}.svg'
        assert svg.read_text() == script['draw'](label, text), (
            'run python docs/drawings/badges.py'
        )
        assert svg.name in (ROOT / 'README.md').read_text()


def test_citation_has_the_version():
    yaml = pytest.importorskip('yaml', reason='PyYAML')
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmovseg.__version__
