"""Embeddings of regions from the maps of a backbone."""

import numpy as np
import pytest
import torch

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.apis.photo_pipeline import Photo
from mmovseg.apis.regions import RegionEmbedder
from mmovseg.shapeworld.drawing import draw_numbered


@pytest.fixture(scope='module')
def inferencer():
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    return OVSegInferencer(model, show_progress=False)


def run(inferencer, bgr):
    embedder = RegionEmbedder(inferencer)
    batch = inferencer.collate_fn([inferencer.pipeline(Photo(0, 'x', bgr))])
    sample = embedder.forward(batch, inferencer.model.vocabulary)
    return embedder, sample


def test_equals_the_mean_of_the_maps_inside(inferencer):
    drawn = draw_numbered(0, 'val', 0, 192)
    embedder, sample = run(inferencer, np.ascontiguousarray(drawn.image[..., ::-1]))
    label_map = np.zeros((192, 192), int)
    # Whole positions of all maps, so that there is nothing to round.
    label_map[32:96, 64:128], label_map[128:, :32] = 1, 2
    found = embedder.embed(label_map, [1, 2], sample.metainfo['img_shape'])
    assert sample.metainfo['img_shape'][:2] == (192, 192)
    parts = [[], []]
    for features in embedder._backbone.output:
        features = features[0].numpy()
        stride = 192 // features.shape[-1]
        mean = features.reshape(len(features), -1).mean(1)
        for number, part in enumerate(parts, 1):
            inside = label_map[stride // 2 :: stride, stride // 2 :: stride] == number
            row = features[:, inside].mean(1) - mean
            part.append(row / np.linalg.norm(row))
    expected = np.stack([np.concatenate(part) / 2 for part in parts])
    assert found == pytest.approx(expected, abs=1e-4)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)


def test_padding_belongs_to_no_region(inferencer):
    bgr = np.full((100, 180, 3), 90, np.uint8)
    bgr[:50] = 200
    embedder, sample = run(inferencer, bgr)
    label_map = np.ones((100, 180), int)
    label_map[50:] = 2
    shape = sample.metainfo['img_shape']
    first = embedder.embed(label_map, [1, 2], shape)
    for features in embedder._backbone.output:
        height, width = features.shape[-2:]
        padded = embedder._backbone.arguments[0].shape
        rows = -(-height * shape[0] // padded[-2])
        columns = -(-width * shape[1] // padded[-1])
        features[..., rows:, :] = features[..., columns:] = 1e4
    assert np.array_equal(embedder.embed(label_map, [1, 2], shape), first)


def test_a_region_without_a_position_is_zeros(inferencer):
    embedder, sample = run(inferencer, np.zeros((64, 64, 3), np.uint8))
    label_map = np.zeros((64, 64), int)
    label_map[0, 0] = 1
    found = embedder.embed(label_map, [1, 5], sample.metainfo['img_shape'])
    assert not found[1].any() and np.isfinite(found).all()
    assert embedder.embed(label_map, [], (64, 64)).shape[0] == 0


def test_nothing_of_the_inferencer_is_changed(inferencer):
    bgr = np.ascontiguousarray(draw_numbered(1, 'val', 0).image[..., ::-1])
    before = inferencer.segment(bgr)
    _, sample = run(inferencer, bgr)
    assert type(inferencer.model.backbone).__name__ == 'CLIPConvBackbone'
    assert inferencer.model.execution is None
    found = sample.pred_panoptic_seg.segments_info
    assert sorted(x['area'] for x in found) == sorted(x.area for x in before.segments)
    after = inferencer.segment(bgr)
    assert np.array_equal(after.label_map, before.label_map)


def test_the_fast_mode_stays_without_its_compiler(inferencer):
    from mmovseg.apis import make_fast

    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    make_fast(model, ('bf16', 'resize', 'compile'))
    fast = OVSegInferencer(model, show_progress=False)
    embedder, _ = run(fast, np.zeros((64, 64, 3), np.uint8))
    parts = embedder.inferencer.model.execution.mode.parts
    assert parts == ('bf16', 'resize')
    assert embedder._read_maps()[0].dtype == torch.float32
    assert model.execution.mode.compile


def test_a_model_without_a_backbone(color_config):
    inferencer = OVSegInferencer(color_config, show_progress=False)
    embedder, sample = run(inferencer, np.zeros((64, 64, 3), np.uint8))
    assert embedder.embed(np.ones((64, 64), int), [1], (64, 64)) is None
    assert 'pred_panoptic_seg' in sample
