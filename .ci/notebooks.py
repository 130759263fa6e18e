"""Run the notebooks of the documentation; with --write keep their outputs.

    python .ci/notebooks.py [--write] [NOTEBOOK ...]

They run in the root of the repository, as their files go to work_dirs.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'docs' / 'notebooks'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('notebooks', nargs='*', type=Path)
    parser.add_argument('--write', action='store_true', help='keep the outputs')
    return parser.parse_args()


def run(path, write):
    """Run a notebook; return the error, or nothing."""
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    client = NotebookClient(
        notebook, timeout=None, resources={'metadata': {'path': str(ROOT)}}
    )
    try:
        client.execute()
    except CellExecutionError as error:
        return f'{path.name}: {error}'
    print(f'{path.name}: {time.monotonic() - started:.0f} s', flush=True)
    if write:
        for cell in notebook.cells:
            cell.metadata.pop('execution', None)
            if cell.cell_type == 'code':
                # Warnings and progress of libraries are no result.
                cell.outputs = [x for x in cell.outputs if x.get('name') != 'stderr']
                for output in cell.outputs:
                    output.get('data', {}).pop('image/jpeg', None)  # there is a PNG
        notebook.metadata.language_info = {'name': 'python'}
        text = nbformat.writes(notebook)
        if str(ROOT) in text:
            return f'{path.name}: the outputs name a folder of this machine, {ROOT}'
        path.write_text(text + '\n')
    return None


def main():
    args = parse_args()
    paths = args.notebooks or sorted(FOLDER.glob('*.ipynb'))
    assert paths, f'{FOLDER} holds no notebook'
    failed = [error for path in paths if (error := run(path, args.write))]
    if failed:
        sys.exit('error: ' + '\n'.join(failed))


if __name__ == '__main__':
    main()
