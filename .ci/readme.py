"""Run what README.md and Get started tell a reader to run, and compare what it prints.

Blocks whose preceding paragraph says "Needs" are left out, and so are lines that start
with make or pip: .ci/run and the environments cover those. A block of text that follows
a block of code is what the code prints.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = 'README.md', 'docs/get_started.md'


class Block(NamedTuple):
    language: str
    code: str
    printed: str | None  # None: whatever it prints


def runnable(text):
    """Yield the blocks to run."""
    blocks = list(re.finditer(r'^```(\w+)\n(.*?)^```$', text, re.DOTALL | re.M))
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        paragraph = text[: block.start()].rstrip().split('\n\n')[-1]
        if block[1] == 'text' or 'Needs' in paragraph:
            continue
        if block[2].startswith(('make', 'pip')):
            continue
        printed = None
        if following and following[1] == 'text':
            printed = following[2]
        yield Block(block[1], block[2], printed)


def run(block):
    """Run a block; print it and its output together, and return whether it worked."""
    shell = ['bash', '-euo', 'pipefail', '-c', block.code]
    command = shell if block.language == 'shell' else [sys.executable, '-c', block.code]
    folder = Path(sys.executable).parent  # of the command mmovseg
    path = os.pathsep.join([str(folder), os.environ['PATH']])
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {'PATH': path},
        capture_output=True,
        text=True,
    )
    print(f'--- {block.language}\n{block.code}\n{done.stdout}{done.stderr}', flush=True)
    if done.returncode:
        return False
    if block.printed is not None and done.stdout.strip() != block.printed.strip():
        print(f'--- but the page says\n{block.printed}', flush=True)
        return False
    return True


def main():
    blocks = [x for page in PAGES for x in runnable((ROOT / page).read_text())]
    compared = sum(block.printed is not None for block in blocks)
    assert len(blocks) >= 6 and compared >= 2, (
        'README.md lost its commands, or this script their form'
    )
    # None needs what another one makes: they run side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        worked = list(pool.map(run, blocks))
    failed = [x.code for x, good in zip(blocks, worked, strict=True) if not good]
    if failed:
        sys.exit('error: these failed, or print something else:\n' + '\n'.join(failed))


if __name__ == '__main__':
    main()
