"""Run what README.md tells a reader to run, after `make demo`.

Blocks whose preceding paragraph says "Needs" are left out, and so are lines that start
with make or pip: .ci/run and the environments cover those.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


def run(block):
    """Run a block; print it and its output together, and return whether it worked."""
    language, code = block
    shell = ['bash', '-euo', 'pipefail', '-c', code]
    command = shell if language == 'shell' else [sys.executable, '-c', code]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(f'--- {language}\n{code}\n{done.stdout}', flush=True)
    return done.returncode == 0


def main():
    blocks = list(runnable((ROOT / 'README.md').read_text()))
    assert len(blocks) >= 4, 'README.md lost its commands, or this script their form'
    # None needs what another one makes: they run side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        worked = list(pool.map(run, blocks))
    failed = [code for (_, code), good in zip(blocks, worked, strict=True) if not good]
    if failed:
        sys.exit('error: of README.md these failed:\n' + '\n'.join(failed))


if __name__ == '__main__':
    main()
