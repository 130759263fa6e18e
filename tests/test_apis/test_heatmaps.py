"""Heatmaps next to the image: the right places, classes and panels."""

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from mmovseg.apis.heatmaps import PANEL_SIDE, draw_heatmaps, find_labels
from mmovseg.apis.visualization import OPACITY
from mmovseg.vocabulary import Vocabulary

NAMES = ('cat', 'grass', 'cup')
GAP, TOP = 8, 29  # of side_by_side for panels 320 pixels high


@pytest.mark.parametrize(
    'names, labels',
    [
        ('dog', [0]),
        ('road, dog', [3, 0]),
        ('road, route', [1]),
        (' dog ,road, route,road', [0, 1, 3]),
        ('puppy, dog', [0]),
        (['road, route', 'kite'], [1, 2]),
        ('hound', [2]),  # the class that is called so first
        ((), []),
    ],
)
def test_names_are_found_with_their_commas(names, labels):
    vocabulary = Vocabulary(
        (('dog', 'puppy'), ('road, route',), ('hound', 'kite'), ('road', 'hound')),
        (True,) * 4,
    )
    assert find_labels(vocabulary, names) == labels


@pytest.mark.parametrize('names', ['dogg', 'cat, dogg', ['dogg']])
def test_an_unknown_name_is_explained(names):
    vocabulary = Vocabulary.from_string('dog, cat')
    with pytest.raises(ValueError, match=r"'dogg'\. Did you mean 'dog'\? .*dog, cat"):
        find_labels(vocabulary, names)
    with pytest.raises(ValueError, match="called ''"):
        find_labels(vocabulary, 'dog, ,cat')
    with pytest.raises(ValueError, match=r'c19, \.\.\.'):
        find_labels(Vocabulary.from_names([f'c{i}' for i in range(90)]), 'x')


def make_sample(image=(320, 400), padded=(320, 416)):
    """Three queries at stride 16; class 2 belongs to query 0."""
    height, width = padded[0] // 16, padded[1] // 16
    heatmaps = torch.zeros(3, height, width)
    masks = torch.full((3, height, width), -9.0)
    heatmaps[0, 4, 6] = heatmaps[1, 10, 3] = 0.3
    masks[0, 2:8, 2:10] = masks[1, 8:, :] = 9
    return BaseDataElement(
        pred_heatmaps=BaseDataElement(
            metainfo=dict(padded_size=padded, img_shape=image, ori_shape=image),
            heatmaps=heatmaps,
            mask_logits=masks,
            queries=torch.tensor([1, 2, 0]),
            scores=torch.tensor([0.9, 0.5, 0.1]),
        )
    )


def test_each_class_has_a_panel_with_its_heat():
    image = np.full((320, 400, 3), 100, np.uint8)
    drawn = draw_heatmaps(image, make_sample(), [2, 0], NAMES)
    assert drawn.shape == (TOP + 320, 3 * 400 + 2 * GAP, 3)
    photo, cup, cat = (drawn[TOP:, i * (400 + GAP) :][:, :400] for i in range(3))
    assert (photo == image).all()
    for panel, row, column in ((cup, 4, 6), (cat, 10, 3)):
        red = panel[..., 0].astype(int) - panel[..., 2]
        found = np.mean(np.nonzero(red > 50), 1)
        middle = np.array([16 * row + 8, 16 * column + 8])  # not stretched by padding
        assert abs(found - middle).max() <= 1
    cold = 100 * (1 - OPACITY) + np.array([0, 0, 128]) * OPACITY
    assert abs(cup[200:, 200:] - cold).max() <= 1


def test_the_mask_is_outlined():
    image = np.zeros((320, 400, 3), np.uint8)
    drawn = draw_heatmaps(image, make_sample(), [2], NAMES)
    white = (drawn[TOP:, 400 + GAP :] > 180).all(-1)
    rows, columns = white.nonzero()
    assert (rows.min(), rows.max()) == pytest.approx((32, 127), abs=2)
    assert (columns.min(), columns.max()) == pytest.approx((32, 159), abs=2)
    assert not white[50:110, 50:140].any()


def test_a_class_that_was_seen_nowhere_is_cold():
    image = np.zeros((320, 400, 3), np.uint8)
    drawn = draw_heatmaps(image, make_sample(), [1], NAMES)
    assert (drawn[TOP:, 400 + GAP :] == [0, 0, 64]).all()  # no warning, no outline


def test_many_classes_take_several_rows():
    image = np.full((320, 400, 3), 7, np.uint8)
    drawn = draw_heatmaps(image, make_sample(), [0, 1, 2, 0, 1], NAMES)
    assert drawn.shape == (2 * (TOP + 320), 4 * 400 + 3 * GAP, 3)
    assert (drawn[TOP + 320 :, 2 * 400 + GAP :] == 255).all()


@pytest.mark.parametrize('shape', [(1, 1), (1, 6000), (2000, 3), (1500, 3000)])
def test_any_size_of_photo(shape):
    sample = make_sample((320, 400))
    drawn = draw_heatmaps(np.zeros((*shape, 3), np.uint8), sample, [0], NAMES)
    assert drawn.dtype == np.uint8
    assert drawn.shape[1] <= 2 * PANEL_SIDE + GAP


def test_a_sample_without_heatmaps_is_refused():
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r'no heatmaps.*DeOP'):
        draw_heatmaps(image, BaseDataElement(), [0], NAMES)
