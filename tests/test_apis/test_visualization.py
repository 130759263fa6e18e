"""Drawings: colors, places and sizes; how they look is for people."""

import numpy as np
import pytest

from mmovseg.apis.visualization import (
    OPACITY,
    class_color,
    draw_heatmap,
    draw_instances,
    draw_panoptic,
    draw_semantic,
    side_by_side,
)

NAMES = ['person', 'grass', 'naïve café', 'k' * 300]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)


def test_colors_differ_and_repeat():
    colors = [class_color(label) for label in range(133)]
    assert len(set(colors)) == 133
    assert colors == [class_color(label) for label in range(133)]
    assert len({class_color(0, i) for i in range(4)}) == 4


def test_neighboring_classes_are_far_apart():
    colors = np.array([class_color(label) for label in range(20)]).astype(int)
    steps = abs(np.diff(colors, axis=0)).sum(1)
    assert steps.min() > 100


def test_segments_are_tinted_and_the_rest_is_untouched(image):
    ids = np.zeros((400, 500), int)
    ids[20:200, 30:90] = 70000
    info = [dict(id=70000, category_id=1, isthing=False)]
    drawn = draw_panoptic(image, ids, info, ['', ''], legend=False)
    assert drawn.shape == image.shape
    assert (drawn[ids == 0] == image[ids == 0]).all()
    inside = np.zeros_like(ids, bool)
    inside[25:60, 35:85] = True  # without the outline
    expected = image * (1 - OPACITY) + np.array(class_color(1)) * OPACITY
    assert abs(drawn[inside] - expected[inside]).max() <= 1


def test_a_name_is_written_inside_its_segment(image):
    ids = np.zeros((400, 500), int)
    ids[200:400, 300:500] = 1
    info = [dict(id=1, category_id=0)]
    named = draw_panoptic(image, ids, info, ['person'], legend=False)
    blank = draw_panoptic(image, ids, info, [''], legend=False)
    rows, columns = (named != blank).any(-1).nonzero()
    assert rows.min() > 270 and rows.max() < 330
    assert columns.min() > 340 and columns.max() < 460


def test_legend_is_added_below(image):
    labels = np.zeros((400, 500), int)
    drawn = draw_semantic(image, labels, NAMES)
    assert drawn.shape[0] > 400
    assert drawn.shape[1:] == (500, 3)
    assert (drawn[400:] == class_color(0)).all(-1).any()
    assert not (drawn[400:] == class_color(1)).all(-1).any()


def test_labels_without_a_name_are_left_alone(image):
    labels = np.full((400, 500), 255)
    assert (draw_semantic(image, labels, NAMES) == image).all()


def test_first_instance_is_on_top(image):
    masks = np.zeros((2, 400, 500), bool)
    masks[0, 100:200, 100:200] = True
    masks[1] = True
    drawn = draw_instances(image, masks, [0, 1], ['', ''], legend=False)
    expected = image * (1 - OPACITY) + np.array(class_color(1)) * OPACITY
    expected = expected.astype(np.uint8) * (1 - OPACITY)
    expected += np.array(class_color(0)) * OPACITY
    assert abs(drawn[150, 120] - expected[150, 120]).max() <= 1


@pytest.mark.parametrize('shape', [(1, 1), (1, 700), (700, 1), (3, 5), (64, 64)])
def test_tiny_images_are_enlarged(shape):
    labels = np.zeros(shape, int)
    drawn = draw_semantic(np.zeros((*shape, 3), np.uint8), labels, NAMES)
    assert drawn.dtype == np.uint8
    if max(shape) <= 64:
        assert drawn.shape[0] >= 5 * shape[0]


def test_nothing_to_draw(image):
    ids = np.zeros((400, 500), int)
    assert (draw_panoptic(image, ids, [], NAMES) == image).all()
    assert (draw_instances(image, [], [], NAMES) == image).all()
    lost = [dict(id=5, category_id=2)]  # listed, but without a pixel
    assert (draw_panoptic(image, ids, lost, NAMES) == image).all()


def test_odd_names_do_not_break_the_drawing(image):
    labels = np.arange(400)[:, None] // 100 + np.zeros((1, 500), int)
    drawn = draw_semantic(image, labels, NAMES)
    assert drawn.shape[1] == 500


@pytest.mark.parametrize('scale', [1e-6, 1, 50])
def test_heat_is_relative_to_its_largest_value(image, scale):
    heat = np.zeros((400, 500))
    heat[:, 250:] = scale
    heat[:100] = scale / 2
    drawn = draw_heatmap(image, heat)
    for place, color in (
        ((300, 400), (128, 0, 0)),
        ((300, 10), (0, 0, 128)),
        ((50, 10), (130, 255, 126)),  # halfway: green
    ):
        grey = image[place] @ [0.299, 0.587, 0.114]
        expected = grey * (1 - OPACITY) + np.array(color) * OPACITY
        assert abs(drawn[place] - expected).max() <= 2


def test_the_outline_of_a_heatmap_is_white(image):
    mask = np.zeros((400, 500), bool)
    mask[100:200, 100:300] = True
    drawn = draw_heatmap(image, mask * 1.0, mask)
    without = draw_heatmap(image, mask * 1.0)
    changed = (drawn != without).any(-1)
    assert (drawn[100, 100:300] == 255).all()
    assert not changed[110:190, 110:290].any()
    assert not changed[:90].any()
    small = draw_heatmap(
        image[:40, :50], mask[80:120, 80:130] * 1.0, mask[80:120, 80:130]
    )
    assert small.shape == (280, 350, 3)  # enlarged seven times
    assert (small[140:, 140] > 200).all()


def test_long_titles_stay_in_their_place(image):
    named = side_by_side([image, image[:, :60]], ['a', 'b' * 50])
    blank = side_by_side([image, image[:, :60]], ['a', ''])
    columns = (named != blank).any((0, 2)).nonzero()[0]
    assert columns.min() >= 508
    assert len(columns) > 20


def test_side_by_side(image):
    row = side_by_side([image, image[:300], image], ['a', 'b', 'c'])
    assert row.shape[1] == 3 * 500 + 2 * 8
    top = row.shape[0] - 400
    assert (row[top:, :500] == image).all()
    assert (row[top : top + 300, 508:1008] == image[:300]).all()
    assert (row[:top] < 128).any()  # titles
    with_legend = side_by_side([image], ['a'], labels=[0, 2], names=NAMES)
    assert (with_legend == class_color(2)).all(-1).any()


def test_unseen_classes_have_a_star_on_the_picture_and_in_the_legend(image):
    ids = np.ones((400, 500), int)
    info = [dict(id=1, category_id=1)]
    names = ['a', 'grass']

    def draw(names, **options):
        return draw_panoptic(image, ids, info, names, **options)

    marked = draw(names, legend=False, unseen={1})
    assert (marked == draw(['a', 'grass ★'], legend=False)).all()
    assert (marked != draw(names, legend=False)).any()
    assert (draw(names, unseen={0}) == draw(names)).all()  # it does not occur
    # The legend also says what a star is, with nothing colored before it.
    noted, plain = draw(names, unseen={1}), draw(['a', 'grass ★'])
    assert noted.shape == plain.shape
    columns = (noted != plain).any((0, 2)).nonzero()[0]
    assert columns.min() > 100 and columns.max() < 400
    legend = noted[400:, columns.min() :]
    assert np.ptp(legend.astype(int), axis=-1).max() == 0

    row = side_by_side([image], ['x'], labels=[0, 1], names=names, unseen={1})
    other = side_by_side([image], ['x'], labels=[0, 1], names=['a', 'grass ★'])
    assert (row[:400] == other[:400]).all() and (row[400:] != other[400:]).any()
