"""GeoTIFFs, segmented by windows."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from mmovseg.apis import ImageError, OVSegInferencer, init_model
from mmovseg.apis.geotiff import segment_geotiff
from mmovseg.apis.tiles import segment_tiles
from mmovseg.cli.main import main

PLACE = from_origin(500000, 4649776, 0.5, 0.5)
SIDES = dict(tile=64, overlap=16)


@pytest.fixture
def inferencer(color_config):
    """Nothing is resized, so masks do not depend on tiles."""
    del color_config.test_pipeline[1]
    return OVSegInferencer(init_model(color_config), show_progress=False)


@pytest.fixture
def photo():
    """Red on green, RGB."""
    image = np.zeros((150, 130, 3), np.uint8)
    image[:] = (0, 255, 0)
    image[20:100, 30:110] = (255, 0, 0)
    return image


def write(path, image, *, empty=None, dtype='uint8'):
    height, width, count = image.shape
    profile = dict(driver='GTiff', height=height, width=width, count=count, dtype=dtype)
    with rasterio.open(path, 'w', crs='EPSG:32633', transform=PLACE, **profile) as file:
        file.write(image.transpose(2, 0, 1).astype(dtype))
        if empty is not None:
            file.write_mask(np.where(empty, 0, 255).astype(np.uint8))
    return path


@pytest.mark.parametrize('task', ['semantic', 'panoptic'])
def test_the_result_has_the_place_and_is_that_of_tiles(
    tmp_path, inferencer, photo, task
):
    source, target = write(tmp_path / 'a.tif', photo), tmp_path / 'labels.tif'
    result = segment_geotiff(inferencer, source, target, task=task, **SIDES)
    expected = segment_tiles(inferencer, photo[..., ::-1].copy(), task=task, **SIDES)
    with rasterio.open(target) as file:
        assert file.crs.to_epsg() == 32633
        assert file.transform == PLACE
        assert (file.read(1) == expected.label_map).all()
        assert json.loads(file.tags()['MMOVSEG_NAMES']) == list(result.names)
        segments = json.loads(file.tags()['MMOVSEG_SEGMENTS'])
    assert segments == [x.to_dict() for x in expected.segments]
    assert {x['name'] for x in segments} == {'red', 'green'}


def test_where_there_is_no_data_there_is_no_class(tmp_path, inferencer, photo):
    empty = np.zeros(photo.shape[:2], bool)
    empty[:, :20] = True
    source = write(tmp_path / 'a.tif', photo, empty=empty)
    segment_geotiff(inferencer, source, tmp_path / 'labels.tif', **SIDES)
    with rasterio.open(tmp_path / 'labels.tif') as file:
        assert file.nodata == 255
        assert ((file.read(1) == 255) == empty).all()


def test_other_bands(tmp_path, inferencer, photo):
    infrared = np.full((*photo.shape[:2], 1), 9, np.uint8)
    source = write(tmp_path / 'a.tif', np.concatenate([infrared, photo], -1))
    result = segment_geotiff(
        inferencer, source, tmp_path / 'x.tif', bands=(2, 3, 4), **SIDES
    )
    assert {x.name for x in result.segments} == {'red', 'green'}
    with pytest.raises(ImageError, match=r'a\.tif has 4 bands, so there is no band 5'):
        segment_geotiff(inferencer, source, tmp_path / 'y.tif', bands=(3, 4, 5))
    assert not (tmp_path / 'y.tif').exists()


def test_more_than_eight_bits_are_refused(tmp_path, inferencer, photo):
    source = write(tmp_path / 'a.tif', photo, dtype='uint16')
    with pytest.raises(ImageError, match=r'uint16.*8 bits'):
        segment_geotiff(inferencer, source, tmp_path / 'x.tif')


def test_no_raster_is_named(tmp_path, inferencer):
    (tmp_path / 'a.tif').write_text('no picture')
    for name in ('a.tif', 'nowhere.tif'):
        with pytest.raises(ImageError, match=name):
            segment_geotiff(inferencer, tmp_path / name, tmp_path / 'x.tif')
    assert not (tmp_path / 'x.tif').exists()


def test_the_picture_is_never_overwritten(tmp_path, inferencer, photo):
    source = write(tmp_path / 'a.tif', photo)
    before = source.read_bytes()
    with pytest.raises(ValueError, match=r'would overwrite the input'):
        segment_geotiff(inferencer, source, source, **SIDES)
    assert source.read_bytes() == before


def test_the_command_writes_one(tmp_path, photo, capsys):
    source = write(tmp_path / 'a.tif', photo)
    words = ['predict', str(source), '--model', 'tiny', '--classes', 'red, stuff: sky']
    words += ['--geotiff', str(tmp_path / 'x.tif')]
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert '--tile' in capsys.readouterr().err
    status = main([*words, '--tile', '96', '--task', 'semantic'])
    assert status == 0
    assert 'x.tif' in capsys.readouterr().out
    with rasterio.open(tmp_path / 'x.tif') as file:
        assert json.loads(file.tags()['MMOVSEG_NAMES']) == ['red', 'sky']
