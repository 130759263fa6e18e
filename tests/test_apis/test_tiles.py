"""Large images by tiles, with a model whose masks are known."""

import numpy as np
import pytest

from mmovseg.apis import ImageError, OVSegInferencer, init_model
from mmovseg.apis.tiles import segment_tiles, split

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


@pytest.fixture
def inferencer(color_config):
    """Tiles of 64 pixels are not resized, so masks do not depend on them."""
    color_config.test_pipeline[1].scale = (128, 64)
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


def test_tiles_equal_the_whole(inferencer):
    """The model is local, so that holds at seams too."""
    random = np.random.default_rng(0)
    colors = np.array([RED, GREEN, BLUE], np.uint8)
    image = colors[random.integers(0, 3, (16, 8))].repeat(4, 0).repeat(4, 1)
    whole = inferencer.segment(image).to_numpy()['classes']
    for overlap in (0, 8, 24):
        tiles = segment_tiles(inferencer, image, tile=64, overlap=overlap)
        assert (tiles.to_numpy()['classes'] == whole).mean() > 0.99


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
