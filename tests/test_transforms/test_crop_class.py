import numpy as np
import pytest

from mmovseg.transforms import CropClass


def make_results(mask, label=3):
    """An image whose red channel is 200 on the class and 0 elsewhere."""
    labels = np.where(mask, label, 5).astype(np.uint8)
    image = np.zeros((*mask.shape, 3), np.uint8)
    image[..., 2] = 200 * mask
    return {'img': image, 'gt_seg_map': labels, 'crop_label': label}


def test_the_whole_box_is_taken_where_nothing_else_is_allowed(seed):
    mask = np.zeros((40, 50), bool)
    mask[10:26, 20:36] = True
    mask[12:14, 22:24] = False
    crop = CropClass(size=16, scale=(1, 1), ratio=(1, 1))
    results = crop(make_results(mask))
    box = mask[10:26, 20:36]
    np.testing.assert_array_equal(results['gt_seg_map'], np.where(box, 3, 255))
    np.testing.assert_array_equal(results['img'][..., 2], 200 * box)
    assert results['img_shape'] == (16, 16)


def test_image_and_map_are_cut_alike_inside_the_box(seed):
    mask = np.zeros((60, 60), bool)
    mask[5:45, 10:50] = True
    mask[20:30, 25:35] = False
    crop = CropClass(size=64)
    outside = []
    for _ in range(30):
        results = crop(make_results(mask))
        assert results['img'].shape == (64, 64, 3)
        labels = results['gt_seg_map']
        assert set(np.unique(labels)) <= {3, 255}
        inside = labels == 3
        red = results['img'][..., 2]
        assert (red[inside] > 0).mean() > 0.95  # but for the interpolated rim
        outside.append((~inside).mean())
    assert max(outside) < 1
    assert len(set(outside)) > 5  # parts differ


@pytest.mark.parametrize('shape', [(300, 300), (9, 300), (1, 1), (300, 2)])
def test_a_pixel_of_the_class_always_remains(seed, shape):
    rng = np.random.RandomState(0)
    crop = CropClass(size=8)
    for _ in range(20):
        mask = np.zeros(shape, bool)
        # One to three lone pixels, which a shrunk map loses nearly always.
        for _ in range(rng.randint(1, 4)):
            mask[rng.randint(shape[0]), rng.randint(shape[1])] = True
        results = crop(make_results(mask))
        assert (results['gt_seg_map'] == 3).any()
        assert results['gt_seg_map'].shape == (8, 8)


def test_a_class_that_is_not_there_is_refused():
    results = make_results(np.zeros((4, 4), bool)) | {'seg_map_path': 'a.png'}
    with pytest.raises(ValueError, match=r'a\.png has no pixel of class 3'):
        CropClass()(results)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'size': 0}, 'size must be at least 1, got 0'),
        ({'scale': (0.5, 1.5)}, r'none above 1, got \(0.5, 1.5\)'),
        ({'scale': (0.5, 0.1)}, 'scale must be'),
        ({'ratio': (0, 1)}, 'ratio must be'),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        CropClass(**options)
