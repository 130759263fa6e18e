"""Large images by tiles, with a model whose masks are known."""

import numpy as np
import pytest

from mmovseg.apis import ImageError, OVSegInferencer, Result, init_model
from mmovseg.apis.tiles import make_canvas, segment_tiles, split

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


@pytest.fixture
def inferencer(color_config):
    """Nothing is resized, so masks do not depend on tiles."""
    del color_config.test_pipeline[1]
    return OVSegInferencer(init_model(color_config), show_progress=False)


def paint(height, width, *boxes):
    image = np.zeros((height, width, 3), np.uint8)
    image[:] = GREEN
    for color, (x, y, w, h) in boxes:
        image[y : y + h, x : x + w] = color
    return image


@pytest.mark.parametrize('length', [1, 63, 64, 65, 100, 128, 500])
@pytest.mark.parametrize('overlap', [0, 16, 31])
def test_every_pixel_is_of_one_tile(length, overlap):
    count = np.zeros((length, 70), int)
    for tile in split(length, 70, 64, overlap):
        count[tile.core_rows, tile.core_columns] += 1
        assert tile.rows.stop - tile.rows.start == min(64, length)
        assert tile.rows.start <= tile.core_rows.start < tile.core_rows.stop
        assert tile.core_rows.stop <= tile.rows.stop <= length
        # Away from the border of the image half of the overlap is around the core.
        if tile.core_rows.start:
            assert tile.core_rows.start - tile.rows.start >= overlap // 2
    assert (count == 1).all()


def test_things_across_seams_are_one_and_neighbors_are_not(inferencer):
    image = paint(
        128,
        192,
        (RED, (40, 40, 60, 40)),  # over four tiles
        (BLUE, (8, 96, 16, 16)),
        (BLUE, (160, 8, 16, 16)),
    )
    result = segment_tiles(inferencer, image, tile=64, overlap=16)
    found = sorted((x.name, tuple(x.box)) for x in result.segments)
    assert found == [
        ('blue', (8, 96, 16, 16)),
        ('blue', (160, 8, 16, 16)),
        ('green', (0, 0, 192, 128)),
        ('red', (40, 40, 60, 40)),
    ]
    assert [x.id for x in result.segments] == [1, 2, 3, 4]
    for segment in result.segments:
        mask = result.label_map == segment.id
        assert mask.sum() == segment.area
        assert result.names[segment.label] == segment.name
    assert (result.label_map > 0).all()
    assert result.overlay().shape[1] >= 192


@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
@pytest.mark.parametrize('overlap', [0, 8, 24])
def test_tiles_equal_the_whole(inferencer, overlap, task):
    """The model is local, so that holds at seams too."""
    random = np.random.default_rng(0)
    colors = np.array([RED, GREEN, BLUE], np.uint8)
    image = colors[random.integers(0, 3, (40, 36))].repeat(4, 0).repeat(4, 1)
    assert len(list(split(*image.shape[:2], 64, overlap))) >= 9
    tiles = segment_tiles(inferencer, image, task=task, tile=64, overlap=overlap)
    classes = tiles.to_numpy()['classes']
    whole = inferencer.segment(image, task=task).to_numpy()['classes']
    away = np.ones(whole.shape, bool)
    for place in split(*whole.shape, 64, overlap):
        for start in (place.core_rows.start, place.core_rows.stop):
            away[max(start - 3, 0) : start + 3] = False
        for start in (place.core_columns.start, place.core_columns.stop):
            away[:, max(start - 3, 0) : start + 3] = False
    assert away.mean() > 0.7
    assert (classes == whole)[away].all()
    assert (classes == whole).mean() > 0.99


def blend(length, tile, overlap, find):
    """Put a row of tiles together whose likely classes ``find`` says."""
    canvas = make_canvas('semantic', 70, length, overlap)
    for place in split(70, length, tile, overlap):
        shape = 70, place.columns.stop - place.columns.start
        probabilities = find(place)
        top = np.argsort(-probabilities)
        result = Result(
            'semantic',
            np.zeros(shape, np.int32),
            [],
            ('a', 'b', 'c'),
            (True, True, False),
            top_labels=np.broadcast_to(top[:, None, None], (3, *shape)),
            top_probabilities=np.broadcast_to(
                probabilities[top][:, None, None], (3, *shape)
            ),
        )
        canvas.add(place, result)
    return canvas.finish()


def test_classes_pass_over_from_tile_to_tile():
    """The first tile is sure of a, the second almost sure of b: the border moves."""

    def find(place):
        if place.columns.start == 0:
            return np.array([0.9, 0.1, 0.0])
        return np.array([0.4, 0.6, 0.0])

    result = blend(140, 80, 20, find)
    [first, second] = split(1, 140, 80, 20)
    seam = first.core_columns.stop
    # Weights are 0.5 - d / 20 and 0.5 + d / 20, a and b equal at d = 6.
    border = int((result.label_map[0] == 0).sum())
    assert border == seam + 6
    assert (result.label_map == np.where(np.arange(140) < border, 0, 1)).all()
    assert [x.name for x in result.segments] == ['a', 'b']
    assert [x.area for x in result.segments] == [70 * border, 70 * (140 - border)]
    assert first.columns.stop > second.columns.start


def test_without_overlap_every_tile_decides_alone():
    def find(place):
        return np.eye(3)[place.columns.start // 70]

    result = blend(140, 70, 0, find)
    assert (result.label_map == np.repeat([0, 1], 70)).all()


def test_many_rows_of_tiles_are_all_blended(inferencer):
    image = paint(400, 70, (RED, (10, 10, 20, 380)))
    result = segment_tiles(inferencer, image, task='semantic', tile=64, overlap=24)
    red = result.names.index('red')
    assert (result.label_map[10:390, 10:30] == red).all()
    assert {x.name for x in result.segments} == {'red', 'green'}


def test_other_tasks_are_refused(inferencer):
    with pytest.raises(ValueError, match="got 'instance'"):
        segment_tiles(inferencer, paint(90, 90), task='instance')


def test_one_tile_is_the_photo(inferencer):
    image = paint(50, 60, (RED, (8, 8, 16, 16)))
    whole, tiles = inferencer.segment(image), segment_tiles(inferencer, image)
    assert (whole.label_map == tiles.label_map).all()
    assert [dict(x) for x in whole.segments] == [dict(x) for x in tiles.segments]


@pytest.mark.parametrize('tile, overlap', [(32, 0), (64, 32), (64, -1), (64, 100)])
def test_wrong_tiles(inferencer, tile, overlap):
    with pytest.raises(ValueError, match=f'got {tile} and {overlap}'):
        segment_tiles(inferencer, paint(90, 90), tile=tile, overlap=overlap)


def test_an_image_that_is_not_there(inferencer):
    with pytest.raises(ImageError, match='nowhere'):
        segment_tiles(inferencer, 'nowhere.png')
