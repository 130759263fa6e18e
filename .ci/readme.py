"""Run what README.md tells a reader to run, after `make demo`.

Blocks whose preceding paragraph says "Needs" are left out, and so are lines that start
with make or pip: .ci/run and the environments cover those.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def runnable(text):
    """Yield language and code of the blocks to run."""
    for match in re.finditer(r'```(\w+)\n(.*?)```', text, re.DOTALL):
        paragraph = text[: match.start()].rstrip().split('\n\n')[-1]
        lines = match[2].splitlines()
        if 'Needs' in paragraph or lines[0].startswith(('make', 'pip')):
            continue
        yield match[1], match[2]


def main():
    blocks = list(runnable((ROOT / 'README.md').read_text()))
    assert len(blocks) >= 4, 'README.md lost its commands, or this script their form'
    for language, code in blocks:
        print(f'--- {language}\n{code}', flush=True)
        shell = ['bash', '-euo', 'pipefail', '-c', code]
        command = shell if language == 'shell' else [sys.executable, '-c', code]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == '__main__':
    main()
