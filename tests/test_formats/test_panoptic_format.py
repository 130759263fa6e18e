import json

import numpy as np
import pytest

from mmovseg.formats.panoptic_format import (
    PanopticAnnotations,
    check_segment_ids,
    id_to_rgb,
    rgb_to_id,
)


def test_ids_are_red_plus_256_green_plus_65536_blue():
    rgb = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255]]], np.uint8)
    ids = rgb_to_id(rgb)
    assert ids.tolist() == [[1, 256, 65536, 2**24 - 1]]
    np.testing.assert_array_equal(id_to_rgb(ids), rgb)


@pytest.mark.parametrize(
    ('in_png', 'in_json', 'words'),
    [
        ([0, 5, 6], [5], r'only in the PNG: \[6\]'),
        ([5], [5, 9], r'only in the JSON: \[9\]'),
        ([5], [5, 5], r'listed twice: \[5\]'),
        ([0, 5], [0, 5], r'only in the JSON: \[0\]'),
    ],
)
def test_disagreeing_ids_are_named_with_the_file(in_png, in_json, words):
    with pytest.raises(ValueError, match=words) as error:
        check_segment_ids('some/file.png', np.array(in_png), in_json)
    assert 'some/file.png' in str(error.value)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'categories': []}, 'needs categories'),
        ({'annotations': [{'image_id': 1, 'bbox': []}]}, 'no segments_info'),
        ({'annotations': None}, r"has no \['annotations'\]"),
        (
            {
                'annotations': [
                    {'image_id': 1, 'segments_info': [{'id': 1, 'category_id': 8}]}
                ]
            },
            r'a\.jpg has segments of unknown categories \[8\]',
        ),
    ],
)
def test_a_json_that_is_no_panoptic_one_is_refused(tmp_path, change, words):
    content = {
        'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 1, 'width': 1}],
        'annotations': [],
        'categories': [{'id': 5, 'name': 'x', 'isthing': 1}],
        **change,
    }
    content = {key: value for key, value in content.items() if value is not None}
    path = tmp_path / 'panoptic.json'
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=words):
        PanopticAnnotations.load(str(path))


def test_png_name_is_the_annotations_own():
    """Cityscapes names the PNG unlike the photo."""
    images = [{'id': 'a', 'file_name': 'a_left.jpg', 'height': 1, 'width': 1}]
    images.append({'id': 'b', 'file_name': 'b.v2.jpg', 'height': 1, 'width': 1})
    annotations = [{'image_id': 'a', 'file_name': 'a_pan.png', 'segments_info': []}]
    categories = [{'id': 5, 'name': 'x', 'isthing': 1}]
    from unittest import mock

    content = {'images': images, 'annotations': annotations, 'categories': categories}
    with mock.patch('mmengine.fileio.load', return_value=content):
        index = PanopticAnnotations.load('x.json')
    assert [image.png_name for image in index.images.values()] == [
        'a_pan.png',
        'b.v2.png',
    ]
