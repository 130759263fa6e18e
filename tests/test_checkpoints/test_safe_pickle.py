"""Pickles of arrays: real ones load, made-up ones are refused by name."""

import codecs
import pickle
import random

import numpy as np
import pytest
import torch

from mmovseg.checkpoints import CheckpointError, read_file

CORE = (np._core if hasattr(np, '_core') else np.core).multiarray
F8 = (3, '<', None, None, None, -1, -1, 0)


class Calls:
    """Pickled as a call of a function, then maybe a state."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)[: 2 + (state is not None)]

    def __reduce__(self):
        return self.reduced


def dtype(code, state=F8):
    return Calls(np.dtype, code, False, True, state=state)


def array(*state):
    return Calls(CORE._reconstruct, np.ndarray, (0,), b'b', state=state)


HOSTILE = {
    'ndarray is called': Calls(np.ndarray, (2**33,)),
    'negative size': array(1, (-1,), dtype('f8'), False, b''),
    'huge size': array(1, (2**62, 4), dtype('f8'), False, b'12345678'),
    'fewer bytes': array(1, (4,), dtype('f8'), False, b'12'),
    'objects': array(1, (2,), dtype('O'), False, [1, 2]),
    'fields': array(
        1, (4,), dtype('V8', (3, '|', None, ('a',), {'a': (5,)}, 8, 1, 0)), False, b''
    ),
    'part of a dtype': array(
        1, (4,), dtype('f8', (3, '|', (1, (2**40,)), None, None, -1, -1, 0)), False, b''
    ),
    'dtype of a tuple': dtype(('f8', (2**40,))),
    'state of a dtype': dtype('f8', (3, 'zz', None, None, None, 1, 2, 3)),
    'no dtype': array(1, (1,), 'f8', False, b'12345678'),
    'no state': Calls(CORE._reconstruct, np.ndarray, (0,), b'b'),
    'another class': Calls(CORE._reconstruct, 'ndarray', (0,), b'b'),
    'scalar of an object': Calls(CORE.scalar, dtype('O'), b'12345678'),
    'scalar without dtype': Calls(CORE.scalar, 'f8', b'12345678'),
    'loose class': np.ndarray,
    'loose function': CORE._reconstruct,
    'another codec': Calls(codecs.encode, '00' * 50, 'hex'),
    'state of a dict': Calls(dict, state={'a': 1}),
}


@pytest.mark.parametrize('protocol', [2, 4])
@pytest.mark.parametrize('name', HOSTILE)
def test_made_up_arrays_are_refused(tmp_path, name, protocol):
    path = tmp_path / 'bad.pkl'
    content = {'model': {'a': HOSTILE[name]}}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(CheckpointError, match=r'bad\.pkl is (refused|damaged)'):
        read_file(path, str(path))


RAW = {
    'persistent id': b'\x80\x02NQ.',
    'extension': b'\x80\x02\x82\x01.',
    'state of a class': b'\x80\x02cnumpy\nndarray\n}U\x01aNsb.',
    'state of a function': b'\x80\x02c_codecs\nencode\n}U\x01aNsb.',
    'a scalar without __init__': b'\x80\x02cnumpy.core.multiarray\nscalar\n)\x81.',
    'deep nesting': b'\x80\x02' + b']' * 5000 + b'a' * 4999 + b'.',
    'a huge integer': b'\x80\x02L' + b'9' * 10000 + b'L\n.',
    'a huge block': b'\x80\x05\x96' + b'\xff' * 5 + b'\0\0\0.',
    'nothing': b'\x80\x02',
}


@pytest.mark.parametrize('name', RAW)
def test_strange_instructions_are_refused(tmp_path, name):
    path = tmp_path / 'bad.pkl'
    path.write_bytes(RAW[name])
    with pytest.raises(CheckpointError, match=r'bad\.pkl is (refused|damaged)'):
        read_file(path, str(path))


@pytest.mark.parametrize(
    'content',
    [
        b'\x80\x02Nr\xff\xff\xff\x7f.',  # a place in the memo, 16 GB from the start
        # A tuple of twice the one before, forty times.
        b'\x80\x02]q\x00'
        + b''.join(bytes([*b'h', i, *b'h', i, 0x86, *b'q', i + 1]) for i in range(40))
        + b'.',
        b'\x80\x02}q\x00U\x01ah\x00s.',  # a dict in itself
        b'\x80\x02]q\x00h\x00a.',  # a list in itself
    ],
)
def test_what_only_looks_large_is_read(tmp_path, content):
    path = tmp_path / 'odd.pkl'
    path.write_bytes(content)
    read_file(path, str(path))


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_arrays_load_as_they_are(tmp_path, protocol):
    arrays = {
        'plain': np.arange(6, dtype=np.float32).reshape(2, 3),
        'by columns': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        'big endian': np.arange(3, dtype='>f8'),
        'none': np.zeros((0, 3), np.float16),
        'one': np.array(7),
        'flags': np.array([True, False]),
    }
    path = tmp_path / 'good.pkl'
    content = {'model': arrays, 'text': np.array(['a', 'bc']), 'scalar': np.float32(3)}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = read_file(path, str(path))
    for name, value in arrays.items():
        native = torch.from_numpy(value.astype(value.dtype.newbyteorder('=')))
        assert torch.equal(found['model'][name], native), name
        assert found['model'][name].dtype == native.dtype
    assert found['text'].tolist() == ['a', 'bc'] and found['scalar'] == 3


def test_changed_files_are_read_or_refused_and_nothing_else(tmp_path):
    """Three hundred files with a few bytes changed, left out or put in."""
    draw = random.Random(0)
    content = {'model': {'a': np.ones((2, 3), 'f4'), 'b': np.float64(3)}, 'c': [1, 2.0]}
    whole = [pickle.dumps(content, protocol=protocol) for protocol in (2, 4, 5)]
    path, read = tmp_path / 'odd.pkl', 0
    for _ in range(300):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.choice([1, 2, 4])):
            at = draw.randrange(2, len(data))
            kind = draw.random()
            if kind < 0.5:
                data[at] = draw.randrange(256)
            elif kind < 0.7:
                del data[at : at + draw.randrange(1, 9)]
            else:
                data[at:at] = data[at // 2 : at // 2 + draw.randrange(1, 30)]
        path.write_bytes(data)
        try:
            read_file(path, str(path))
            read += 1
        except CheckpointError:
            pass
    assert 0 < read < 300
