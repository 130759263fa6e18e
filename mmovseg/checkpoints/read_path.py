"""Read a checkpoint wherever it is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mmengine.fileio import get_local_path

from .download import download, is_url
from .read_file import CheckpointError, read_file


def read_path(name: str, *, trust: bool = False) -> Any:
    """Read a checkpoint from a file, a URL, or a storage that MMEngine knows.

    Args:
        name: A path, a URL of http or https, which is fetched once and not kept, or
            one like ``s3://``.
        trust: See :func:`read_file`.

    Returns:
        What the file holds; see :func:`read_file`.

    Raises:
        FileNotFoundError: If there is no such file.
        DownloadError: If a URL gives no file.
        CheckpointError: If the file cannot be used.
    """
    if '://' not in name:
        return read_file(Path(name).expanduser(), name, trust=trust)
    with ExitStack() as stack:
        if is_url(name):
            path = stack.enter_context(download(name))
        else:
            try:
                path = Path(stack.enter_context(get_local_path(name)))
            except Exception as error:  # every storage raises its own
                raise CheckpointError(f'{name} cannot be fetched: {error}') from error
        return read_file(path, name, trust=trust)
