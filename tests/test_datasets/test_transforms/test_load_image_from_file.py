import mmcv
import numpy as np
import pytest

from mmovseg.registry import TRANSFORMS


def test_fields_are_those_of_mmcv(tmp_path):
    path = str(tmp_path / 'a.png')
    mmcv.imwrite(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), path)
    for options in ({}, {'to_float32': True}, {'color_type': 'grayscale'}):
        own = TRANSFORMS.build({'type': 'mmovseg.LoadImageFromFile', **options})
        other = mmcv.transforms.LoadImageFromFile(**options)
        results, expected = own({'img_path': path}), other({'img_path': path})
        assert results.keys() == expected.keys()
        np.testing.assert_array_equal(results['img'], expected['img'])
        assert results['img'].dtype == expected['img'].dtype
        assert results['ori_shape'] == results['img_shape'] == (2, 4)


def test_broken_image_is_named_or_skipped(tmp_path):
    path = tmp_path / 'broken.jpg'
    path.write_bytes(b'no image')
    load = {'type': 'mmovseg.LoadImageFromFile'}
    with pytest.raises(ValueError, match=r'broken\.jpg'):
        TRANSFORMS.build(load)({'img_path': str(path)})
    load['ignore_empty'] = True
    assert TRANSFORMS.build(load)({'img_path': str(path)}) is None
