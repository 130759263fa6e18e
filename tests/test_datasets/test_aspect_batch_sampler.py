import os
from types import SimpleNamespace

import pytest
from PIL import Image

from mmovseg.datasets import AspectBatchSampler
from mmovseg.formats.image_file import ImageError, read_size
from mmovseg.registry import DATA_SAMPLERS


class Indices(list):
    """A sampler that yields its own content."""

    def __init__(self, indices, sizes):
        super().__init__(indices)
        infos = [dict(width=w, height=h) for w, h in sizes]
        self.dataset = SimpleNamespace(get_data_info=infos.__getitem__)


SIZES = [(64, 48), (48, 64), (128, 96), (64, 64), (480, 640), (32, 32), (20, 10)]


def test_neighbors_have_one_ratio():
    sampler = AspectBatchSampler(Indices(range(7), SIZES), 2)
    assert list(sampler) == [[1, 4], [3, 5], [0, 2], [6]]
    assert list(sampler) == list(sampler)
    assert len(sampler) == 4


@pytest.mark.parametrize('processes', [1, 2, 3, 4])
@pytest.mark.parametrize('count', [1, 2, 5, 7])
@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_each_image_once_whatever_the_processes(processes, count, batch_size):
    """Shares as MMEngine's DefaultSampler makes them, gathered as it does."""
    padded = list(range(count))
    while len(padded) % processes:
        padded.append(padded[len(padded) % count])
    shares = []
    for rank in range(processes):
        share = Indices(padded[rank::processes], SIZES)
        sampler = AspectBatchSampler(share, batch_size)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        shares.append([index for batch in batches for index in batch])
    gathered = [index for row in zip(*shares, strict=True) for index in row]
    assert sorted(gathered[:count]) == list(range(count))


def test_sizes_are_read_from_files_where_needed(tmp_path):
    paths = [tmp_path / f'{i}.png' for i in range(3)]
    for path, size in zip(paths, [(8, 4), (4, 8), (6, 6)], strict=True):
        Image.new('RGB', size).save(path)
    share = Indices(range(3), [])
    infos = [dict(img_path=str(path)) for path in paths]
    share.dataset.get_data_info = infos.__getitem__
    assert list(AspectBatchSampler(share, 3)) == [[1, 0, 2]]


def test_built_as_the_runner_does():
    sampler = DATA_SAMPLERS.build(
        dict(type='AspectBatchSampler'),
        default_args=dict(sampler=Indices(range(7), SIZES), batch_size=4),
    )
    assert len(sampler) == 2
    with pytest.raises(ValueError, match='got 0'):
        AspectBatchSampler(Indices([], []), 0)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    with pytest.raises(ImageError, match=r'a\.png is a pipe'):
        read_size(tmp_path / 'a.png')
