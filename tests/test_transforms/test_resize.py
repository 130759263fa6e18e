"""Our resizing has the numbers of mmcv and mmseg."""

import mmcv.transforms
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmovseg.registry import TRANSFORMS
from mmovseg.transforms import Resize, ResizeShortestEdge


def photo(height, width):
    rng = np.random.default_rng(0)
    return dict(
        img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        gt_seg_map=rng.integers(0, 9, (height, width), dtype=np.uint8),
        seg_fields=['gt_seg_map'],  # which mmseg's transforms go by
    )


def same(results, expected):
    assert results.keys() == expected.keys()
    for key, value in expected.items():
        assert key == 'seg_fields' or np.array_equal(results[key], value), key


@pytest.mark.parametrize('size', [(40, 61), (61, 40), (33, 33), (7, 200)])
@pytest.mark.parametrize(
    'options',
    [
        dict(scale=(90, 50)),
        dict(scale=48),
        dict(scale=(128, 40), keep_ratio=True),
        dict(scale=(40, 128), keep_ratio=True),
        dict(scale_factor=1.7),
        dict(scale_factor=(0.5, 0.7), interpolation='area'),
        dict(scale=(20, 20), keep_ratio=True, interpolation='bicubic'),
    ],
    ids=str,
)
def test_resize_is_that_of_mmcv(size, options):
    expected = mmcv.transforms.Resize(**options)(photo(*size))
    same(Resize(**options)(photo(*size)), expected)


@pytest.mark.parametrize('size', [(40, 61), (61, 40), (33, 33), (7, 200)])
@pytest.mark.parametrize('scale', [50, (64, 50)])
def test_shortest_edge_is_that_of_mmseg(size, scale):
    options = dict(scale=scale, max_size=128)
    mmseg = TRANSFORMS.build(dict(type='mmseg.ResizeShortestEdge', **options))
    same(ResizeShortestEdge(**options)(photo(*size)), mmseg(photo(*size)))


def test_transforms_of_others_that_hold_a_resize_may_hold_ours():
    """They build the type Resize of the default scope and set its scale."""
    with DefaultScope.overwrite_default_scope('mmovseg'):
        mmseg = TRANSFORMS.build(
            dict(type='mmseg.ResizeShortestEdge', scale=50, max_size=128)
        )
    assert type(mmseg.resize) is Resize
    same(ResizeShortestEdge(50, 128)(photo(40, 61)), mmseg(photo(40, 61)))


def test_what_would_stay_as_it_is_is_refused():
    results = dict(photo(40, 61), gt_bboxes=np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r'not gt_bboxes: take type=.mmdet\.Resize'):
        Resize((90, 50))(results)
    with pytest.raises(ValueError, match='scale or scale_factor'):
        Resize()
    with pytest.raises(ValueError, match="got 'blinear'"):
        Resize(5, interpolation='blinear')
