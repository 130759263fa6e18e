"""Threads are held up by events, never by time."""

import threading

import numpy as np
import pytest
import torch

from mmovseg.apis import photo_stream
from mmovseg.apis.output_folder import make_names
from mmovseg.apis.photo_pipeline import Photo
from mmovseg.apis.photo_stream import (
    FailedImage,
    LoadedPhoto,
    batch_by_size,
)


def load_photos(sources, *args, **options):
    names = make_names(sources)
    return photo_stream.load_photos(sources, names, *args, **options)


def arrays(count):
    return [np.full((2, 2, 3), i, np.uint8) for i in range(count)]


def test_photos_are_loaded_at_once_and_come_in_order():
    second = threading.Event()

    def pipeline(photo):
        if photo.index == 1:
            second.set()
        elif photo.index == 0:
            assert second.wait(60)  # the first takes until the second is there
        return dict(inputs=photo.bgr[0, 0, 0])

    loaded = list(load_photos(arrays(5), pipeline, num_workers=2))
    assert [x.photo.index for x in loaded] == [0, 1, 2, 3, 4]
    assert [x.data['inputs'] for x in loaded] == [0, 1, 2, 3, 4]


def test_no_more_photos_are_loaded_than_asked_for():
    started, all_started = [], threading.Event()

    def pipeline(photo):
        started.append(photo.index)
        if len(started) == 5:
            all_started.set()
        return {}

    photos = load_photos(arrays(20), pipeline, ahead=3, num_workers=2)
    next(photos)
    assert all_started.wait(60)
    photos.close()  # waits for the threads
    assert sorted(started) == [0, 1, 2, 3, 4]


def test_bad_photos_keep_their_places(tmp_path):
    sources = [*arrays(1), tmp_path / 'none.png', np.zeros(3), *arrays(1)]
    first, missing, array, last = load_photos(sources, lambda _: {})
    assert isinstance(first, LoadedPhoto) and last.photo.index == 3
    assert missing.input == str(tmp_path / 'none.png')
    assert 'does not exist' in missing.message
    assert isinstance(array, FailedImage) and array.input == 'image_2'


def test_an_error_of_the_pipeline_is_raised_and_ends_the_threads():
    def pipeline(photo):
        raise KeyError(photo.index)

    photos = load_photos(arrays(9), pipeline, num_workers=2)
    with pytest.raises(KeyError, match='0'):
        next(photos)
    assert not [x for x in threading.enumerate() if x.name.startswith('mmovseg-load')]


def make(*sizes):
    return [
        LoadedPhoto(Photo(i, '', None), dict(inputs=torch.empty(3, *size)))
        for i, size in enumerate(sizes)
    ]


def indices(batches):
    return [[x.photo.index for x in batch] for batch in batches]


def test_sizes_meet():
    a, b, c = (32, 64), (64, 32), (64, 64)
    assert indices(batch_by_size(make(a, b, a, c, b, c, a), 2)) == [
        *([0, 2], [1, 4], [3, 5], [6])
    ]
    assert indices(batch_by_size(make(a, b, c), 1)) == [[0], [1], [2]]


def test_sizes_meet_after_padding():
    photos = make((33, 64), (64, 50), (65, 64), (40, 40))
    assert indices(batch_by_size(photos, 3, 32)) == [[0, 1, 3], [2]]
    assert indices(batch_by_size(photos, 4, 128)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize('batch_size', [1, 2, 5])
def test_every_photo_comes_once_and_few_wait(batch_size, seed):
    sizes = np.random.default_rng(0).integers(1, 20, 200)
    taken = 0

    def photos():
        nonlocal taken
        for photo in make(*((int(x), 8) for x in sizes)):
            taken += 1
            yield photo

    given = []
    for batch in batch_by_size(photos(), batch_size):
        assert len(batch) <= batch_size
        assert len({x.data['inputs'].shape for x in batch}) == 1
        assert taken - len(given) <= 3 * batch_size
        given += [x.photo.index for x in batch]
    assert sorted(given) == list(range(200))


def test_the_longest_waiting_photo_goes_first():
    odd, even = (32, 32), (64, 64)
    photos = make(odd, *[(96 + i, 32) for i in range(4)], even, even)
    # Six of other sizes wait: no full batch, so the first one goes.
    assert indices(batch_by_size(photos, 2))[:2] == [[0], [5, 6]]
