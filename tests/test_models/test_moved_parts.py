"""Parts that have moved to a project are found there, and missed with an answer."""

import subprocess
import sys

import pytest
from golden_utils import ROOT

from mmovseg.apis.config import load_config

IMPORT = {'custom_imports.imports': 'projects.eovseg_ablations'}
WITHOUT = """
from mmovseg.apis.config import load_config
from mmovseg.registry import MODELS
print()
for kind in ('SDIHead', 'CrossAttentionDecoder'):
    try:
        MODELS.build(dict(type=kind, anything=1))
    except ValueError as error:
        print(error)
for options in ({'model.decoder.head.type': 'SDIHead'}, {'model.neck.num_levels': 2}):
    try:
        load_config('eovseg_tiny_shapeworld', options)
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_what_has_moved_says_where_to():
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    hint = 'custom_imports.imports=projects.eovseg_ablations'
    assert done.stdout.count(hint) == 4
    assert '\nSDIHead has moved to projects.eovseg_ablations' in done.stdout
    assert '\nCrossAttentionDecoder has moved' in done.stdout
    assert 'model.decoder.head.type: SDIHead has moved' in done.stdout
    assert "as type='MultiScaleNeck', with a MultiScaleDecoder" in done.stdout


@pytest.mark.parametrize('kind', ['CrossAttentionDecoder', 'EarlyFusionDecoder'])
def test_options_of_the_command_line_import_it(kind, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = IMPORT | {'model.decoder.type': kind}
    assert load_config('eovseg_tiny_shapeworld', options).model.decoder.type == kind


def test_arguments_that_have_moved_are_explained():
    options = {'model.decoder.early_fusion': True}
    with pytest.raises(ValueError, match="as type='EarlyFusionDecoder'"):
        load_config('eovseg_tiny_shapeworld', options)
