"""Read pickles of plain values and arrays; nothing in a file can call anything.

A pickle names functions and gives them the arguments that it likes. NumPy's functions
for pickles trust those: a made-up state of ``numpy.dtype`` or ``numpy.ndarray`` reads
foreign memory or ends the process. So a file gets placeholders that only note what they
were given. :func:`restore` checks the notes and builds the arrays.
"""

from __future__ import annotations

import math
import pickle
from collections import Counter, OrderedDict
from typing import Any, ClassVar

import numpy as np
from mmengine.logging import HistoryBuffer

# Booleans, numbers and text of a fixed length, as '<f4'; never objects or records.
KINDS = frozenset('biufcSU')
MAX_DIMS = 32  # of an array


class DtypeNote:
    """What a file says of a ``numpy.dtype``."""

    __slots__ = ('code', 'order')

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        self.code: Any = code
        self.order: Any = '|'

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ORDERS:
            raise pickle.UnpicklingError('dtype with an unknown state')
        if any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError('dtype with fields')
        self.order = state[1]

    def build(self) -> np.dtype:
        """Return the dtype, if it is one of plain values."""
        if type(self.code) is not str or len(self.code) > 12:
            raise pickle.UnpicklingError(f'dtype of {type(self.code).__name__}')
        dtype = np.dtype(self.code)
        if dtype.kind not in KINDS or not dtype.itemsize:  # nor records: kind V
            raise pickle.UnpicklingError(f'dtype {self.code!r}')
        return dtype if self.order == '|' else dtype.newbyteorder(self.order)


class ArrayNote:
    """What a file says of a ``numpy.ndarray``."""

    __slots__ = ('data', 'dtype', 'fortran', 'shape')

    def __init__(self) -> None:
        self.shape: Any = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise pickle.UnpicklingError('array with an unknown state')
        self.shape, self.dtype, self.fortran, self.data = state[-4:]

    def build(self) -> np.ndarray:
        """Return the array, if its shape, type and bytes fit each other."""
        shape, data = self.shape, self.data if self.shape is not None else None
        if isinstance(data, str):  # pickled by Python 2
            data = data.encode('latin1')
        is_shape = isinstance(shape, tuple) and len(shape) <= MAX_DIMS
        if not is_shape or any(type(size) is not int or size < 0 for size in shape):
            raise pickle.UnpicklingError('array without a shape')
        if not isinstance(self.dtype, DtypeNote) or not isinstance(data, _BYTES):
            raise pickle.UnpicklingError('array of objects')
        dtype = self.dtype.build()
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise pickle.UnpicklingError(
                f'array of shape {shape} and type {dtype} with {len(data)} bytes'
            )
        values = np.frombuffer(data, dtype)
        ordered = values.reshape(shape, order='F' if self.fortran else 'C')
        return ordered.astype(dtype.newbyteorder('='))


class ScalarNote(ArrayNote):
    """What a file says of one number of NumPy."""

    __slots__ = ()

    def __init__(self, dtype: Any, data: Any = None) -> None:
        self.shape, self.dtype, self.fortran, self.data = (), dtype, False, data


class HistoryNote:
    """What a file says of MMEngine's history of a logged number."""

    __slots__ = ('state',)

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def build(self) -> HistoryBuffer:
        """Return the history, if it is two rows of numbers."""
        state = self.state if isinstance(self.state, dict) else {}
        rows = state.get('_log_history'), state.get('_count_history')
        length = state.get('max_length')
        built = [row.build() for row in rows if isinstance(row, ArrayNote)]
        if len(built) != 2 or built[0].shape != built[1].shape or built[0].ndim != 1:
            raise pickle.UnpicklingError('history of MMEngine that is damaged')
        if type(length) is not int or any(
            row.dtype.kind not in 'biuf' for row in built
        ):
            raise pickle.UnpicklingError('history of MMEngine that is damaged')
        history = HistoryBuffer(max_length=length)
        history._log_history, history._count_history = built
        return history


ORDERS = ('<', '>', '|', '=')
_BYTES = (bytes, bytearray)
_NOTES = (ArrayNote, HistoryNote)
_LATIN = ('latin1', 'latin-1')


def _reconstruct(kind: Any, shape: Any = None, code: Any = None) -> ArrayNote:
    """Stand for the function of NumPy that makes an empty array."""
    if kind is not ArrayNote:
        raise pickle.UnpicklingError('array of an unknown class')
    return ArrayNote()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> ArrayNote:
    """Stand for the function of NumPy that pickles of protocol 5 name."""
    note = ArrayNote()
    note.shape, note.dtype, note.fortran, note.data = shape, dtype, order == 'F', data
    return note


def _encode(text: Any, codec: Any = 'latin1') -> bytes:
    """Stand for ``codecs.encode``, which can also unpack and multiply."""
    if not isinstance(text, str) or codec not in _LATIN:
        raise pickle.UnpicklingError('GLOBAL _codecs.encode with another codec')
    return text.encode('latin1')


def _no_bytes() -> bytes:
    """Stand for ``bytes``: how protocol 2 writes that there are none."""
    return b''


def _get_method(owner: Any, name: Any) -> str:
    """Stand for ``getattr``: old histories list their own methods."""
    if owner is not HistoryNote or type(name) is not str or name.startswith('_'):
        raise pickle.UnpicklingError('Unsupported: GLOBAL builtins.getattr')
    return name


def _arrays() -> dict[str, Any]:
    found: dict[str, Any] = {'numpy.dtype': DtypeNote, 'numpy.ndarray': ArrayNote}
    for core in ('numpy.core', 'numpy._core'):  # of both major versions
        found[f'{core}.multiarray._reconstruct'] = _reconstruct
        found[f'{core}.multiarray.scalar'] = ScalarNote
        found[f'{core}.numeric._frombuffer'] = _from_buffer
    for builtins in ('builtins', '__builtin__'):
        found[f'{builtins}.bytes'] = _no_bytes
    return found


# What a pickle may name, and what it gets for it.
IN_PICKLES = {
    **_arrays(),
    '_codecs.encode': _encode,
    'collections.OrderedDict': OrderedDict,
}
# The same for files of torch.save, beside what torch itself allows there.
IN_TORCH_FILES = {
    **_arrays(),
    'mmengine.logging.history_buffer.HistoryBuffer': HistoryNote,
    'builtins.getattr': _get_method,
    '__builtin__.getattr': _get_method,
}


# The variant in Python: that in C makes room for any place in the memo that a file
# names, be it many gigabytes away. The files are small but for the arrays' bytes.
class ArrayUnpickler(pickle._Unpickler):
    """Refuse everything but plain values, their containers, and NumPy's arrays."""

    stack: Any
    read: Any
    append: Any
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Return the placeholder for what the file names."""
        found = IN_PICKLES.get(f'{module}.{name}')
        if found is None:
            raise pickle.UnpicklingError(f'Unsupported: GLOBAL {module}.{name}')
        return found

    def load_build(self) -> None:
        """Give a state to a note, and to nothing else."""
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (DtypeNote, ArrayNote)):
            raise pickle.UnpicklingError('state for something that has none')
        self.stack[-1].__setstate__(state)

    def load_bytes(self) -> None:
        """Read a block, without making room for more than there is."""
        size = int.from_bytes(self.read(8), 'little')
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BYTEARRAY8[0]] = load_bytes


def restore(value: Any) -> Any:
    """Replace the notes in what a reader returned.

    Args:
        value: Anything; lists are changed in place. Dicts become new ones, which have
            no attribute of the file's but ``_metadata``.

    Returns:
        The value, with arrays, numbers and histories for their notes.

    Raises:
        pickle.UnpicklingError: If a note does not hold together.
    """
    return _restore(value, {})


def _restore(value: Any, known: dict[int, Any]) -> Any:
    # A container may hold itself, and be met again in billions of ways.
    if id(value) in known:
        return known[id(value)][1]
    if isinstance(value, ScalarNote):
        return value.build()[()]
    if isinstance(value, dict):
        return _restore_dict(value, known)
    if isinstance(value, list):
        known[id(value)] = value, value
        value[:] = [_restore(item, known) for item in value]
        return value
    if isinstance(value, _NOTES):
        new: Any = value.build()
    elif type(value) in (tuple, set, frozenset):
        new = type(value)(_restore(item, known) for item in value)
    elif isinstance(value, DtypeNote) or callable(value):
        raise pickle.UnpicklingError(f'a loose {getattr(value, "__name__", "dtype")}')
    else:
        return value
    known[id(value)] = value, new  # the value is kept, or its id would be used again
    return new


def _restore_dict(value: dict, known: dict[int, Any]) -> dict:
    kinds = (Counter, OrderedDict, dict)
    new: Any = next(kind for kind in kinds if isinstance(value, kind))()
    known[id(value)] = value, new
    for key, item in dict.items(value):  # what the file may have put in its place
        new[_restore(key, known)] = _restore(item, known)
    metadata = getattr(value, '__dict__', {}).get('_metadata')
    if isinstance(new, OrderedDict) and isinstance(metadata, dict):
        new._metadata = _restore(metadata, known)  # type: ignore[attr-defined]
    return new
