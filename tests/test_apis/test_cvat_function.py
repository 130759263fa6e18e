"""The function for CVAT, as its SDK calls it."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.apis import cvat_function as module

masks = pytest.importorskip('cvat_sdk.masks', reason='cvat-sdk')


@pytest.fixture
def function(color_config, monkeypatch):
    def load(name, **options):
        return OVSegInferencer(init_model(color_config), **options)

    monkeypatch.setattr(module, 'load', load)
    return module.create('cat, stuff: floor, cup')


@pytest.fixture
def photo():
    image = np.zeros((64, 128, 3), np.uint8)
    image[:, :64, 0] = image[:, 64:, 1] = 255
    image[8:16, 8:16] = 0
    return Image.fromarray(image)


def context(**options):
    return SimpleNamespace(
        **{'conf_threshold': None, 'conv_mask_to_poly': False, **options}
    )


def test_masks(function, photo):
    assert [x.name for x in function.spec.labels] == ['cat', 'floor', 'cup']
    result = function.inferencer.segment(photo)
    shapes = function.detect(context(), photo)
    assert len(shapes) == 2
    for shape, segment, mask in zip(
        shapes, result.segments, result.masks(), strict=True
    ):
        size = dict(image_width=128, image_height=64)
        assert (masks.decode_mask(shape.points, **size) == mask).all()
        assert shape.label_id == segment.label and str(shape.type) == 'mask'


def test_polygons(function, photo):
    result = function.inferencer.segment(photo)
    shapes = function.detect(context(conv_mask_to_poly=True), photo)
    for shape, mask in zip(shapes, result.masks(), strict=True):
        drawn = rle.decode(rle.frPyObjects([shape.points], 64, 128))[..., 0]
        assert (drawn == mask).all() and str(shape.type) == 'polygon'


def test_scores(function, photo):
    result = function.inferencer.segment(photo)
    least = result.segments[0].score
    assert len(function.detect(context(conf_threshold=least), photo)) == 1
