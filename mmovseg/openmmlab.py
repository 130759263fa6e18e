"""The part of OpenMMLab that training and evaluation need and inference does not."""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import redirect_stdout

EXTRA = "pip install 'mmovseg[openmmlab]'"
PACKAGES = {
    'mmcv': 'mmcv',
    'mmdet': 'mmdet',
    'mmseg': 'mmsegmentation',
}
NOISE = 'Could not import OneDL'


class MissingPackageError(ModuleNotFoundError):
    """A part of OpenMMLab is not installed; the message says how to get it."""


def import_openmmlab(*modules: str, need: str) -> None:
    """Import modules of mmcv, mmdet and mmseg, or say what to install.

    Both mmdet and mmseg print at every start, twice, that an optional package is
    missing. These lines are left out; what else they print is printed.

    Args:
        modules: Names of modules.
        need: What cannot do without them, as the start of a sentence.

    Raises:
        MissingPackageError: If one of the three packages is not installed, or is one
            that needs the compiled ops of mmcv, which are not.
    """
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            for module in modules:
                importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = PACKAGES.get((error.name or '').split('.')[0])
        if missing is None:
            raise
        if error.name == 'mmcv._ext':  # the original mmdet imports ops everywhere
            raise MissingPackageError(
                f'{need} mmdet, and this mmdet needs an mmcv with compiled ops, which '
                f'this one lacks: install the forks, which do not ({EXTRA}), or build '
                'mmcv with its ops.',
                name=error.name,
            ) from error
        raise MissingPackageError(
            f'{need} mmcv, mmdet and mmsegmentation, and {missing} is not installed: '
            f'{EXTRA}',
            name=error.name,
        ) from error
    finally:
        lines = printed.getvalue().splitlines(keepends=True)
        sys.stdout.writelines(x for x in lines if not x.startswith(NOISE))
