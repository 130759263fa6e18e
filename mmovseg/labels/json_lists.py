"""Write a JSON file of long lists without having them in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..fileio import atomic_path


def write_json_lists(
    path: Path, values: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]
) -> None:
    """Write ``{key: value, ..., key: [item, ...]}``, one item of a list per line.

    Args:
        path: Where the file goes.
        values: Short values, first.
        lists: Long lists. Items may be made while the file is written.
    """
    with atomic_path(path) as draft, open(draft, 'w', encoding='utf-8') as file:
        file.write('{')
        comma = ''
        for key, value in values.items():
            file.write(f'{comma}\n{_dump(key)}: {_dump(value)}')
            comma = ','
        for key, items in lists.items():
            file.write(f'{comma}\n{_dump(key)}: ')
            write_list(file, items)
            comma = ','
        file.write('\n}\n')


def write_list(file: Any, items: Iterable[Any]) -> None:
    """Write a list to an open file, one item per line."""
    comma = ''
    file.write('[')
    for item in items:
        file.write(f'{comma}\n{_dump(item)}')
        comma = ','
    file.write('\n]')


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(', ', ': '))
