"""Thousands of names are encoded part by part, and a stopped run goes on."""

import pytest
import torch

from mmovseg.models.text import TextClassifier, text_tower
from mmovseg.vocabulary import Vocabulary

NAMES = [f'{color} {shape}' for color in ('red', 'blue') for shape in 'abcde']


def build(folder):
    return TextClassifier('tiny-rn', 'shapeworld', templates='simple', cache_dir=folder)


class Stopped(Exception):
    pass


@pytest.fixture
def chunks(monkeypatch):
    """Encode three names at a time; record them, and stop after the second time."""
    monkeypatch.setattr(text_tower, 'CHUNK_SIZE', 3)
    done = []
    encode = text_tower.TextTower._encode_names

    def stop(self, names, *args):
        if len(done) == 2:
            done.append(None)
            raise Stopped
        done.append(names)
        return encode(self, names, *args)

    monkeypatch.setattr(text_tower.TextTower, '_encode_names', stop)
    return done


def test_a_stopped_run_goes_on_and_leaves_one_file(tmp_path, chunks):
    vocabulary = Vocabulary.from_names(NAMES)
    expected = build(None).encode(Vocabulary.from_names(NAMES[:3]))
    chunks.clear()
    with pytest.raises(Stopped):
        build(tmp_path).encode(vocabulary)
    assert len(list(tmp_path.glob('*.part*'))) == 2
    rows = build(tmp_path).encode(vocabulary)
    assert chunks == [NAMES[:3], NAMES[3:6], None, NAMES[6:9], NAMES[9:]]
    torch.testing.assert_close(rows[:3], expected)
    assert len(list(tmp_path.iterdir())) == 1
    chunks.clear()
    assert torch.equal(build(tmp_path).encode(vocabulary), rows) and not chunks


def test_a_damaged_part_is_encoded_again(tmp_path, chunks):
    vocabulary = Vocabulary.from_names(NAMES)
    with pytest.raises(Stopped):
        build(tmp_path).encode(vocabulary)
    first, _ = sorted(tmp_path.glob('*.part*'))
    first.write_bytes(first.read_bytes()[:-9])
    with pytest.warns(UserWarning, match='Ignoring cached text embeddings'):
        build(tmp_path).encode(vocabulary)
    assert chunks[3:] == [NAMES[:3], NAMES[6:9], NAMES[9:]]


def test_a_name_that_is_too_long_is_found_before_anything_is_encoded(tmp_path, chunks):
    vocabulary = Vocabulary.from_names([*NAMES, ' '.join('abcdefghij' * 9)])
    with pytest.raises(ValueError, match=r'does not fit into the .* tokens'):
        build(tmp_path).encode(vocabulary)
    assert not chunks
