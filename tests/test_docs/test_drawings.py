"""The drawings of architectures are up to date, and name classes that exist."""

import runpy
from pathlib import Path

import pytest

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
