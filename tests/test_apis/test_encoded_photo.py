"""A photo that is encoded once has the results of one that is not."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import made_small

from mmovseg.apis import ImageError, OVSegInferencer, load_config
from mmovseg.models.segmentors import EOVSeg
from mmovseg.registry import MODELS
from mmovseg.shapeworld.drawing import draw_numbered

NAMES = 'stuff: brick, stuff: wood, purple star, yellow cross'
OTHER = 'yellow cross, stuff: grass'
PHOTO = np.ascontiguousarray(draw_numbered(20, 'val', 0, 96).image[..., ::-1])
# Config, and the part that runs once.
KINDS = {
    'eovseg_tiny_shapeworld': 'backbone',
    'deop_tiny_shapeworld-zs': 'backbone',
    'fcclip_r50_coco': 'neck',
    'eomt-s_convnext-l': 'proposals',
}


def make(name):
    torch.manual_seed(0)
    model = MODELS.build(made_small(load_config(name).model)).eval()
    model.cfg = load_config('eovseg_tiny_shapeworld')  # small photos
    return OVSegInferencer(model, device='cpu', show_progress=False)


@pytest.fixture(scope='module')
def tiny():
    return OVSegInferencer(
        'eovseg_tiny_shapeworld', 'shapeworld', device='cpu', show_progress=False
    )


def count_calls(part):
    calls = []
    part.register_forward_hook(lambda *_: calls.append(1))
    return calls


def same(first, second):
    assert np.array_equal(first.label_map, second.label_map)
    assert [dict(x) for x in first.segments] == [dict(x) for x in second.segments]
    assert np.array_equal(first.image, second.image)
    assert (first.photo, first.path) == (second.photo, second.path)


@pytest.mark.parametrize('name', KINDS)
def test_results_are_those_of_photos(name):
    inferencer = make(name)
    expected = [inferencer.segment(PHOTO, x) for x in (NAMES, OTHER)]
    before = {k: v.clone() for k, v in inferencer.model.state_dict().items()}
    vocabulary = inferencer.model.vocabulary
    calls = count_calls(getattr(inferencer.model, KINDS[name]))
    encoded = inferencer.encode(PHOTO)
    assert encoded.reuses
    for names, number in [(NAMES, 0), (OTHER, 1), (NAMES, 0)]:
        same(inferencer.segment(encoded, names), expected[number])
    assert len(calls) == 1
    # Nothing is left on the model.
    assert inferencer.model.vocabulary is vocabulary
    after = inferencer.model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_tasks_and_files(tiny, tmp_path, task):
    path = tmp_path / 'a photo.png'
    Image.fromarray(PHOTO[..., ::-1]).save(path)
    encoded = tiny.encode(path)
    options = dict(task=task, score_thr=0.2, top_classes=True)
    found, expected = (tiny.segment(x, NAMES, **options) for x in (encoded, path))
    same(found, expected)
    assert found.path == path and found.segments
    assert np.array_equal(found.top_labels, expected.top_labels)


def test_models_that_encode_nothing_run_as_a_whole(tiny, monkeypatch):
    expected = tiny.segment(PHOTO, NAMES)

    class Own(EOVSeg):
        """Has another way to segment, which is not left out."""

        def segment(self, inputs, text):
            assert isinstance(inputs, torch.Tensor)
            return super().segment(inputs, text)

    monkeypatch.setattr(tiny.model, '__class__', Own)
    encoded = tiny.encode(PHOTO)
    assert not encoded.reuses
    same(tiny.segment(encoded, NAMES), expected)
    assert not make('simbaseline_tiny_shapeworld-zs').encode(PHOTO).reuses


def test_the_fast_mode_runs_as_a_whole(tiny, monkeypatch):
    calls = []

    def execute(model, *arguments):
        calls.append(1)
        return model.segment_batch(*arguments)

    monkeypatch.setattr(tiny.model, 'execution', execute)
    encoded = tiny.encode(PHOTO)
    assert not encoded.reuses
    assert tiny.segment(encoded, NAMES).segments and calls == [1]


def test_plain_is_plain(tiny):
    plain = OVSegInferencer(tiny.model, show_progress=False, plain=True)
    same(plain.segment(plain.encode(PHOTO), NAMES), plain.segment(PHOTO, NAMES))


def test_names_that_are_left_out():
    inferencer = OVSegInferencer(
        *('eovseg_tiny_shapeworld', 'shapeworld'), show_progress=False, keep_names=2
    )
    encoded = inferencer.encode(PHOTO)
    assert encoded.reuses
    for names in (NAMES, f'{NAMES}, red circle, stuff: grass'):
        same(inferencer.segment(encoded, names), inferencer.segment(PHOTO, names))


def test_what_cannot_be_used(tiny, tmp_path, monkeypatch):
    with pytest.raises(ImageError, match=r'none\.png does not exist'):
        tiny.encode(tmp_path / 'none.png')
    with pytest.raises(ValueError, match='task must be one of'):
        tiny.segment(tiny.encode(PHOTO), NAMES, task='depth')

    def fill(*_):
        raise MemoryError

    monkeypatch.setattr(tiny.model, 'extract_feat', fill)
    with pytest.raises(ImageError, match='more memory than there is'):
        tiny.encode(PHOTO)
