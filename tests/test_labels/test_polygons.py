"""Polygons from which the tools draw the very masks again."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as rle
from scipy.ndimage import gaussian_filter

from mmovseg.labels.polygons import join_parts, trace_centers, trace_edges


def draw_random(seed):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 40, 2)
    noise = random.random(shape)
    if seed % 2:
        noise = gaussian_filter(noise, 1.5)
    mask = (noise > np.quantile(noise, random.random() * 0.9)).astype(np.uint8)
    mask.flat[0] = 1  # something is there
    return mask


MASKS = [pytest.param(draw_random(seed), id=str(seed)) for seed in range(60)]


@pytest.mark.parametrize('mask', MASKS)
def test_coco_draws_the_mask_from_edges(mask):
    polygons = [x.ravel().tolist() for x in trace_edges(mask)]
    assert min(map(len, polygons)) >= 8
    drawn = rle.decode(rle.merge(rle.frPyObjects(polygons, *mask.shape)))
    assert (drawn == mask).all()


@pytest.mark.parametrize('mask', MASKS)
def test_opencv_draws_the_mask_from_centers(mask):
    drawn = np.zeros_like(mask)
    for polygon in trace_centers(mask):
        cv2.fillPoly(drawn, [polygon], 1)
    assert (drawn == mask).all()


@pytest.mark.parametrize('mask', MASKS)
def test_pillow_draws_the_mask_from_centers(mask):
    image = Image.new('L', mask.shape[::-1])
    for polygon in trace_centers(mask):
        points = [tuple(point) for point in polygon.tolist()]
        ImageDraw.Draw(image).polygon(points * (3 - min(len(points), 2)), 1, 1)
    assert (np.asarray(image) == mask).all()


def test_a_square_with_a_hole_by_hand():
    mask = np.ones((3, 3), np.uint8)
    mask[1, 1] = 0
    (edges,) = trace_edges(mask)
    corners = {(0, 0), (0, 3), (3, 3), (3, 0), (1, 1), (1, 2), (2, 2), (2, 1)}
    assert corners <= set(map(tuple, edges.tolist()))
    (square,) = trace_edges(np.ones((3, 3)))
    assert len(square) == 4


def test_joined_parts_differ_by_thin_lines_alone():
    mask = np.zeros((20, 40), np.uint8)
    mask[3:9, 2:9] = mask[5:15, 30:38] = mask[15:19, 12:16] = 1
    drawn = np.zeros_like(mask)
    cv2.fillPoly(drawn, [join_parts(trace_centers(mask))], 1)
    assert (drawn >= mask).all()
    extra = drawn - mask
    assert 0 < extra.sum() < 40
    assert not cv2.erode(extra, np.ones((2, 2), np.uint8)).any()


def test_the_largest_part_is_first():
    mask = np.zeros((9, 9), np.uint8)
    mask[0, 0] = mask[4:8, 4:8] = 1
    assert trace_edges(mask)[0].min() == 4
