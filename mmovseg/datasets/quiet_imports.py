"""Import OpenMMLab's datasets without the lines they print at every start.

Both say on stdout, four times in all, that the optional package ``onedl`` is missing:
they log it for debugging, but before there is a logger, and then MMEngine prints.
"""

import contextlib
import importlib
import io
import sys

NOISE = 'Could not import OneDL'


def import_quietly(*modules: str) -> None:
    """Import modules; what else they print is printed."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            for module in modules:
                importlib.import_module(module)
    finally:
        for line in printed.getvalue().splitlines(keepends=True):
            if not line.startswith(NOISE):
                sys.stdout.write(line)


import_quietly('mmdet.datasets', 'mmseg.datasets')
