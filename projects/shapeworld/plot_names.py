"""Draw quality, recall and time against the number of names.

    python -m projects.shapeworld.plot_names docs/images/many_names.png \\
        docs/measurements/names_tiny.json docs/measurements/names_tiny-eovseg.json

The files are what tools/analysis_tools/many_names.py --out has written. There is a row
of plots per file, and a line per number of names that the filter keeps.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from mmovseg.command_line import exit_on_error
from mmovseg.datasets.preparation import read_json
from mmovseg.fileio import write_atomic

PANELS = {
    'PQ': 'panoptic/PQ',
    'mIoU': 'semantic/mIoU',
    'recall of present names': 'presence/recall',
    'ms per image': 'ms',
}


def plot(cards: dict[str, dict[str, Any]]) -> Figure:
    """Plot cards of ``many_names.py``, by title."""
    figure = Figure(figsize=(10, 2.6 * len(cards)), layout='constrained')
    grid = figure.subplots(len(cards), len(PANELS), squeeze=False, sharex=True)
    for line, (title, card) in zip(grid, cards.items(), strict=True):
        for axes, (name, key) in zip(line, PANELS.items(), strict=True):
            for keep in dict.fromkeys(row['keep'] for row in card['rows']):
                rows = [x for x in card['rows'] if x['keep'] == keep and key in x]
                label = 'all names' if keep is None else f'{keep} kept'
                counts = [row['names'] for row in rows]
                color = 'k' if keep is None else None
                axes.plot(
                    counts, [row[key] for row in rows], '.-', label=label, color=color
                )
            axes.set_xscale('log')
            axes.set_title(f'{title}: {name}', fontsize='small')
            axes.set_xticks(sorted({row['names'] for row in card['rows']}))
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.minorticks_off()
            axes.tick_params(labelsize='small')
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        line[0].legend(fontsize='small')
    for axes in grid[-1]:
        axes.set_xlabel('names')
    return figure


def main(argv: Sequence[str] | None = None) -> None:
    """Read cards, and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('picture', type=Path, help='file to write (.png)')
    parser.add_argument('cards', nargs='+', type=Path, help='of many_names.py --out')
    args = parser.parse_args(argv)
    if args.picture.suffix.lower() != '.png':
        # One who forgets the picture would lose the first card.
        parser.error(f'the picture comes first and ends with .png, got {args.picture}.')
    cards = {}
    with exit_on_error():
        for path in args.cards:
            card = read_json(path)
            if not isinstance(card, dict) or 'keep' not in str(card.get('rows')):
                raise ValueError(
                    f'{path} has no rows of names: give what '
                    'tools/analysis_tools/many_names.py --out has written.'
                )
            cards[path.stem.removeprefix('names_')] = card
        buffer = io.BytesIO()
        plot(cards).savefig(buffer, format='png', dpi=90, metadata={'Software': None})
        write_atomic(args.picture, buffer.getvalue())


if __name__ == '__main__':
    main()
