"""``python -m mmovseg.cli`` is ``mmovseg``."""

import sys

from .main import main

if __name__ == '__main__':
    sys.exit(main())
