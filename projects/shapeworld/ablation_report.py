"""Tables and pictures of run_ablation.py, and where our order is not the paper's."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from scipy.stats import kendalltau

NAMED = 5  # pairs of rows that a report names at most


class Value(NamedTuple):
    """A number over seeds."""

    mean: float
    std: float
    count: int
    each: tuple[float, ...] = ()  # seed by seed

    def __str__(self) -> str:
        return f'{self.mean:.1f}' + (f' ± {self.std:.1f}' if self.count > 1 else '')


def compare_order(labels: Sequence[str], ours: Sequence, paper: Sequence) -> str:
    """Say where the order of our rows is not the paper's.

    Args:
        labels: Of the rows.
        ours: A :class:`Value` per row, or None.
        paper: A number per row.
    """
    known = [index for index, value in enumerate(ours) if value]
    agree, close, swapped = 0, 0, []
    for pair in itertools.combinations(known, 2):
        low, high = sorted(pair, key=lambda index: paper[index])
        if paper[low] == paper[high]:
            continue
        gap = ours[high].mean - ours[low].mean
        if gap > 0:
            agree += 1
        elif -gap <= max(ours[low].std, ours[high].std):
            close += 1
        else:
            swapped.append((gap, f'{labels[low]} above {labels[high]}'))
    total = agree + close + len(swapped)
    if not total:
        return 'nothing to compare yet.'
    expected = [paper[i] for i in known]
    tau = kendalltau([ours[i].mean for i in known], expected).statistic
    text = f"{agree} of {total} pairs as in the paper (Kendall's tau {tau:.2f}"
    seeds = [*zip(*(ours[i].each for i in known), strict=False)]
    if len(seeds) > 1 and all(len(ours[i].each) == len(seeds) for i in known):
        taus = [kendalltau(values, expected).statistic for values in seeds]
        text += f'; seed by seed {", ".join(f"{x:.2f}" for x in taus)}'
    text += ')'
    if close:
        text += f', {close} not so but within one standard deviation'
    if swapped:
        widest = [words for _, words in sorted(swapped)[:NAMED]]
        single = max(ours[i].count for i in known) == 1
        beyond = '' if single else ' and beyond it'  # one seed has no deviation
        text += f', {len(swapped)} not so{beyond}: {"; ".join(widest)}'
        more = len(swapped) - len(widest)
        text += f' and, with smaller gaps, {more} more' if more else ''
    return f'{text}.'


def render_table(
    table: dict, rows: Sequence[dict[str, Value]], *, titles: Sequence[str], image: str
) -> str:
    """Return the Markdown of a table: ours, the paper's, and their order.

    Args:
        table: As in tables.yml.
        rows: Our numbers by name, per row of the table.
        titles: Names of our numbers, in the order of the columns.
        image: Link to the picture.
    """
    labels = [row['Label'] for row in table['Rows']]
    # A number that no row has is not shown, such as one newer than these runs.
    titles = [x for x in titles if any(x in row for row in rows)] or titles
    head = ['row', *titles, 'seeds', *(f'{x}, paper' for x in table['Paper'])]
    lines = [head, ['---'] * len(head)]
    for row, values in zip(table['Rows'], rows, strict=True):
        cells = [values.get(title) for title in titles]
        shown = [str(x) if x else '–' for x in cells]
        count = max((x.count for x in cells if x), default=0)
        lines.append([row['Label'], *shown, str(count), *map(str, row['Paper'])])
    text = [f'Paper: {table["Source"]}.', '']
    text += [f'| {" | ".join(line)} |' for line in lines]
    text += ['', 'Order:', '']
    for number, title in enumerate(table['Paper']):
        paper = [row['Paper'][number] for row in table['Rows']]
        order = compare_order(labels, [row.get(title) for row in rows], paper)
        text.append(f'- {title}: {order}')
    return '\n'.join([*text, '', f'![{table["Title"]}]({image})', ''])


def draw_table(table: dict, rows: Sequence[dict[str, Value]]) -> bytes:
    """Draw ours and the paper's bars of the number that the table is about, as PNG."""
    title, places = table['Order'], range(len(rows))
    figure = Figure(figsize=(7.5, 0.9 + 0.3 * len(rows)), layout='constrained')
    ours, paper = figure.subplots(1, 2, sharey=True)
    values = [row.get(title, Value(0.0, 0.0, 0)) for row in rows]
    ours.barh(places, [x.mean for x in values], xerr=[x.std for x in values])
    ours.set_title(f'{title}, ours: ShapeWorld', fontsize=9)
    index = table['Paper'].index(title)
    numbers = [row['Paper'][index] for row in table['Rows']]
    paper.barh(places, numbers, color='tab:gray')
    paper.set_title(f'{title}, paper: {table["Source"].split(", ")[-1]}', fontsize=9)
    labels = [row['Label'] for row in table['Rows']]
    ours.set_yticks(places, labels, fontsize=8)
    ours.invert_yaxis()
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=80, metadata={'Software': None})
    return buffer.getvalue()
