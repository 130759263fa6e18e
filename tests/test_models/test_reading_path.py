"""Whoever follows one prediction of EOV-Seg opens few files."""

import sys
from pathlib import Path

import pytest
import torch
from test_configs import made_small

import mmovseg
from mmovseg.apis.config import load_config
from mmovseg.registry import MODELS

PACKAGE = Path(mmovseg.__file__).parent
MOST = 14  # not counting models/ops


@torch.inference_mode()
def files_of(call):
    """Return the files of the package whose functions a call runs."""
    files = set()

    def note(frame, event, _):
        if event == 'call':
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    own = [Path(x).relative_to(PACKAGE) for x in files if x.startswith(str(PACKAGE))]
    return sorted(x.as_posix() for x in own if 'ops' not in x.parts)


@pytest.mark.parametrize('name', ['eovseg_tiny_shapeworld', 'eovseg_convnext-l_coco'])
def test_a_prediction_passes_few_files(name, seed):
    cfg = made_small(load_config(name).model)
    cfg.update(train_vocabulary=['thing: dog', 'grass'], test_vocabulary=None)
    model = MODELS.build(cfg).eval()
    inputs = torch.randint(0, 256, (3, 64, 96)).byte()
    batch = dict(inputs=[inputs], data_samples=None)
    with torch.inference_mode():
        model.test_step(batch)  # afterwards the names are in the cache
    files = files_of(lambda: model.test_step(batch))
    paper = {
        *('models/segmentors/eovseg.py', 'models/necks/vas_neck.py'),
        *('models/decoders/lite_decoder.py', 'models/heads/tdee_head.py'),
    }
    assert paper <= set(files)
    assert len(files) <= MOST, files


def test_the_four_files_of_the_paper_are_short():
    folder = PACKAGE / 'models'
    lengths = {
        name: len((folder / name).read_text().splitlines())
        for name in (
            *('segmentors/eovseg.py', 'necks/vas_neck.py'),
            *('decoders/lite_decoder.py', 'heads/tdee_head.py'),
        )
    }
    assert sum(lengths.values()) <= 880, lengths
