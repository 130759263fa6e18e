"""docs/security.md: what it says of configs and annotations is so."""

import json
import pickle
import re
import sys
from pathlib import Path

import pytest

from mmovseg.apis.config import read_config
from mmovseg.datasets import PanopticDataset
from mmovseg.formats.image_file import FORMATS

ROOT = Path(__file__).resolve().parents[2]


class Program:
    def __reduce__(self):
        return exec, ("raise SystemExit('a program has run')",)


def test_a_json_config_is_data_but_may_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'imported_by_json.py').write_text('')
    path = tmp_path / 'config.json'
    content = {'custom_imports': {'imports': ['imported_by_json']}}
    path.write_text(json.dumps(content))
    read_config(path)
    assert sys.modules.pop('imported_by_json')


def test_panoptic_annotations_are_never_unpickled(tmp_path):
    path = tmp_path / 'annotations.pkl'
    path.write_bytes(pickle.dumps(Program()))
    with pytest.raises(SystemExit, match='has run'):
        pickle.loads(path.read_bytes())
    with pytest.raises(ValueError, match='no JSON'):
        PanopticDataset(ann_file=str(path), data_prefix=dict(img='', seg=''))


def test_the_page_names_all_formats_and_leads_somewhere():
    page = (ROOT / 'docs/security.md').read_text()
    row = re.search(r'Only (.*?) are decoded', page).group(1)
    assert tuple(re.findall(r'\w+', row.replace(' and', '').upper())) == FORMATS
    for name in ('README.md', 'SECURITY.md'):
        assert '](docs/security.md)' in (ROOT / name).read_text()
