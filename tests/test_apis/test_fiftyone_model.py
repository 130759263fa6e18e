"""FiftyOne reads the same masks and names that the inferencer finds."""

import sys

import numpy as np
import pytest
from PIL import Image

from mmovseg.apis import OVSegInferencer


def test_without_fiftyone(inferencer, monkeypatch):
    monkeypatch.setitem(sys.modules, 'fiftyone.core', None)
    monkeypatch.delitem(sys.modules, 'mmovseg.apis.fiftyone_model', raising=False)
    from mmovseg.apis.fiftyone_model import FiftyOneModel

    with pytest.raises(ImportError, match=r"pip install 'mmovseg\[fiftyone\]'"):
        FiftyOneModel(inferencer)
    monkeypatch.delitem(sys.modules, 'mmovseg.apis.fiftyone_model')


@pytest.fixture
def photos(tmp_path):
    paths = []
    for index, size in enumerate([(48, 64), (48, 64), (64, 40)]):
        rgb = np.zeros((*size, 3), np.uint8)
        rgb[..., 1] = 255
        rgb[8:24, 4 : 20 + index] = 255, 0, 0
        paths.append(tmp_path / f'{index}.png')
        Image.fromarray(rgb).save(paths[-1])
    return paths


@pytest.fixture
def inferencer(color_config):
    return OVSegInferencer(color_config, show_progress=False)


def decode(detection, shape):
    x, y, w, h = detection.bounding_box
    left, top = round(x * shape[1]), round(y * shape[0])
    mask = np.zeros(shape, bool)
    height, width = detection.mask.shape
    assert (height, width) == (round(h * shape[0]), round(w * shape[1]))
    mask[top : top + height, left : left + width] = detection.mask
    return mask


@pytest.mark.parametrize('task', ['panoptic', 'instance'])
def test_apply_model(inferencer, photos, task, tmp_path, monkeypatch):
    fiftyone = pytest.importorskip('fiftyone', reason='fiftyone')
    from mmovseg.apis.fiftyone_model import FiftyOneModel

    dataset = fiftyone.Dataset()
    dataset.add_samples([fiftyone.Sample(filepath=str(path)) for path in photos])
    names = 'cherry, stuff: grass, sky'
    model = FiftyOneModel(inferencer, names, task=task)
    dataset.apply_model(model, label_field='found', batch_size=2, progress=False)
    for sample, path in zip(dataset, photos, strict=True):
        result = inferencer.segment(str(path), names, task=task)
        found = sample.found.detections
        assert [x.label for x in found] == [x.name for x in result.segments]
        assert [x.isthing for x in found] == [x.isthing for x in result.segments]
        for detection, segment, mask in zip(
            found, result.segments, result.masks(), strict=True
        ):
            assert detection.confidence == pytest.approx(segment.score)
            assert np.array_equal(decode(detection, mask.shape), mask)
    dataset.delete()


def test_semantic_labels(inferencer, photos):
    fiftyone = pytest.importorskip('fiftyone', reason='fiftyone')
    from mmovseg.apis.fiftyone_model import FiftyOneModel

    model = FiftyOneModel(inferencer, task='semantic')
    dataset = fiftyone.Dataset()
    dataset.add_samples([fiftyone.Sample(filepath=str(path)) for path in photos])
    dataset.default_mask_targets = model.mask_targets
    dataset.apply_model(model, label_field='found', progress=False)
    for sample, path in zip(dataset, photos, strict=True):
        result = inferencer.segment(str(path), task='semantic')
        assert np.array_equal(sample.found.mask, result.label_map + 1)
    assert dataset.default_mask_targets == {1: 'red', 2: 'green', 3: 'blue'}
    dataset.delete()
    with pytest.raises(ValueError, match='task must be one of'):
        FiftyOneModel(inferencer, task='boxes')
