"""Train and evaluate the methods of ShapeWorld's leaderboard, and write its page.

    python tools/leaderboard.py --benchmark shapeworld --size tiny
    python tools/leaderboard.py --benchmark shapeworld --rows EOV-Seg --seeds 1

Every method sees the same pictures and the same CLIPs. A row is trained and evaluated
once per seed, then evaluated with exchanged names. What is done is not done again, and
what was stopped goes on. With --publish the run cards go to results/shapeworld, and
docs/shapeworld_leaderboard.md is made of the cards alone. For a row of your own add its
name and config to projects/shapeworld/configs/leaderboard.yml, and run --rows NAME.
"""

from __future__ import annotations

import argparse
import functools
import io
import re
import resource
import statistics
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from mmovseg.analysis.exchanged_names import shuffle_names
from mmovseg.analysis.run_card import write_card
from mmovseg.command_line import exit_on_error, exit_on_sigterm
from mmovseg.datasets.preparation import read_json
from mmovseg.fileio import did_you_mean, write_atomic
from mmovseg.vocabulary import Vocabulary

from .ablation_report import Value
from .run_ablation import ROOT, SIZES, Lab, Run, add_seconds, list_stages

ROWS = Path(__file__).parent / 'configs/leaderboard.yml'
CARDS = ROOT / 'results/shapeworld'
PROCESSOR = 'train_processor.json'
PAGE = ROOT / 'docs/shapeworld_leaderboard.md'
# Column: name in the card, factor.
QUALITY = {
    'PQ seen': ('panoptic/PQ_seen', 1),
    'PQ unseen': ('panoptic/PQ_unseen', 1),
    'PQ h': ('panoptic/PQ_h', 1),
    'AP': ('instance/segm_mAP', 100),
    'mIoU seen': ('semantic/mIoU_seen', 1),
    'mIoU unseen': ('semantic/mIoU_unseen', 1),
    'mIoU h': ('semantic/hIoU', 1),
}
MARKERS = 'os^Dv*P'  # 7 and 10 colors: 70 rows look different
# The control: what the names of other classes find.
CONTROL = {
    'PQ': ('exchanged/panoptic/PQ', 1),
    'mIoU': ('exchanged/semantic/mIoU', 1),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='tools/leaderboard.py --benchmark shapeworld',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='these [all]')
    parser.add_argument('--size', choices=list(SIZES), default='small')
    parser.add_argument('--seeds', type=int, default=3, help='runs per row [3]')
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/shapeworld_leaderboard')
    )
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time [1]')
    parser.add_argument(
        '--data', type=Path, help='folder that holds shapeworld/, if not to be drawn'
    )
    parser.add_argument(
        '--iterations', type=int, help='of every training, if not by --size'
    )
    parser.add_argument(
        '--publish', action='store_true', help='write run cards and page of the clone'
    )
    parser.add_argument(
        '--only-report', action='store_true', help='run nothing, write the page anew'
    )
    args = parser.parse_args(argv)
    if args.seeds < 1 or args.jobs < 1:
        parser.error('--seeds and --jobs must be at least 1.')
    if args.iterations is not None and args.iterations < 2:
        parser.error(f'--iterations must be at least 2, got {args.iterations}.')
    with exit_on_error():
        known = [row['Name'] for row in read_rows()]
    for name in args.rows or ():
        if name not in known:
            hint = did_you_mean(name, known)
            parser.error(
                f'--rows: there is no row {name!r}.{hint} Rows of {ROWS.name}: '
                f'{", ".join(known)}.'
            )
    return args


def read_rows() -> list[dict[str, Any]]:
    """Return the rows: name, config, and what else leaderboard.yml explains.

    Raises:
        ValueError: If the file is no YAML, or a row lacks something, has something
            else or the name of another one.
    """
    try:
        rows = yaml.safe_load(ROWS.read_text(encoding='utf-8'))['Rows']
    except yaml.YAMLError as error:
        raise ValueError(f'{ROWS.name} is no YAML: {error}') from error
    names = set()
    for row in rows:
        if not {'Name', 'Config'} <= set(row) <= {'Name', 'Config', 'Stages', 'Note'}:
            raise ValueError(
                f'{ROWS.name}: a row has Name and Config, and Stages and Note if need '
                f'be, got {row}.'
            )
        if row['Name'] in names:
            raise ValueError(f'{ROWS.name} has two rows {row["Name"]!r}.')
        names.add(row['Name'])
        if not isinstance(row.get('Stages', []), list):
            raise ValueError(f'{ROWS.name}: Stages of {row["Name"]} must be a list.')
    return rows


def find_config(text: str) -> str:
    """Return a packaged name, or the full path of a file of the clone."""
    return str(ROOT / text) if text.endswith('.py') else text


@functools.cache
def read_stages() -> dict[str, tuple[str, ...]]:
    """Return the earlier stages that leaderboard.yml names, by config of a row."""
    return {
        find_config(row['Config']): tuple(find_config(x) for x in row['Stages'])
        for row in read_rows()
        if 'Stages' in row
    }


def count_seconds() -> float:
    """Return the time of the processor of all processes that were started and ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class RowRun(Run):
    """A run whose earlier stages may stand in leaderboard.yml."""

    @property
    def parents(self) -> list[Run]:
        """What has to be done before; see :attr:`Run.parents`."""
        stages = read_stages().get(self.config)
        if self.options or stages is None:
            return super().parents
        return [self._replace(config=stage) for stage in stages]


class Board(Lab):
    """A lab for models of any kind."""

    def count_iterations(self, run: Run) -> int:
        """Give a model of a kind that --size does not know those of EOV-Seg."""
        known = self.size.iterations
        return self.iterations or known.get(run.loaded.model.type, known['EOVSeg'])

    def train(self, run: Run, parents: Sequence[Path]) -> None:
        """Train a run, and note the processor's time where it is that of one run."""
        path = self.path(run) / PROCESSOR
        with add_seconds(path, count_seconds) if self.jobs == 1 else nullcontext():
            super().train(run, parents)

    def count_minutes(self, run: Run) -> float:
        """Return what a run and its stages took to train.

        It is the time of the processor, which other work does not change; of runs side
        by side that of a clock.
        """
        seconds = 0.0
        for stage in list_stages(run):
            own, whole = self.path(stage) / PROCESSOR, self.path(stage) / 'results.json'
            if own.is_file():
                seconds += read_json(own)['seconds']
            else:
                seconds += read_json(whole)['seconds']['train']
        return round(seconds / 60, 1)

    def test(self, run: Run) -> dict[str, Any]:
        """Evaluate a run, unless it is a stage that finds nothing alone."""
        return super().test(run) if run.loaded.get('test_cfg') else {}


def write_exchanged_names(path: Path) -> None:
    """Write the vocabulary in which every class has the names of another one."""
    names = shuffle_names(Vocabulary.load('shapeworld'))
    lines = [
        f'{"thing" if thing else "stuff"}: {"; ".join(synonyms)}'
        for synonyms, thing in zip(names.synonyms, names.is_thing, strict=True)
    ]
    write_atomic(path, '\n'.join(lines) + '\n')


def list_runs(configs: Iterable[str], seeds: int, control: Path) -> list[Run]:
    """List all runs, earlier stages first; each row's last two are its tests."""
    found: dict[Run, None] = {}
    for config in configs:
        for seed in range(seeds):
            run = RowRun(config, seed)
            found |= dict.fromkeys(list_stages(run))
            found[RowRun(config, seed, (('model.test_vocabulary', str(control)),))] = (
                None
            )
    return sorted(found, key=lambda run: run.depth)


def make_card(lab: Board, name: str, config: str, seed: int, control: Path) -> dict:
    """Put what a run and its stages measured into one card; {} if it is not done."""
    run = RowRun(config, seed)
    test = lab.path(run) / 'test/results.json'
    other = RowRun(config, seed, (('model.test_vocabulary', str(control)),))
    exchanged = lab.path(other) / 'results.json'
    if not (test.is_file() and exchanged.is_file()):
        return {}
    card = read_json(test)
    metrics = card['metrics'] | {
        f'exchanged/{key}': value
        for key, value in read_json(exchanged)['metrics'].items()
    }
    speed = card['fps']
    processor = speed.get('processor_ms_per_image')
    ms = processor or 1000 / speed['images_per_second']
    return dict(
        name=name,
        config=Path(config).stem,
        seed=seed,
        size=lab.name,
        iterations=lab.count_iterations(run),
        metrics=metrics,
        minutes=lab.count_minutes(run),
        parameters=card['model']['parameters'],
        ms_per_image=round(ms, 1),
        clock='processor' if processor else 'wall',
        **{key: card[key] for key in ('date', 'git', 'hardware', 'versions')},
    )


def average(values: Sequence[float]) -> Value | None:
    """Return mean and standard deviation."""
    if not values:
        return None
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return Value(statistics.mean(values), std, len(values))


def summarize(cards: Sequence[dict]) -> list[dict[str, Any]]:
    """Average the cards of each row, best unseen quality first.

    Args:
        cards: Of one size.

    Returns:
        Per row its ``name``, ``seeds``, columns of :data:`QUALITY` and
        :data:`CONTROL` (None without such), ``parameters``, ``ms`` and ``minutes``.
    """
    rows = []
    for name in dict.fromkeys(card['name'] for card in cards):
        own = [card for card in cards if card['name'] == name]
        columns = {
            (title, kind): average(
                [
                    card['metrics'][key] * factor
                    for card in own
                    if card['metrics'].get(key) is not None
                ]
            )
            for kind, group in (('quality', QUALITY), ('control', CONTROL))
            for title, (key, factor) in group.items()
        }
        rows.append(
            dict(
                name=name,
                seeds=len(own),
                columns=columns,
                parameters=own[0]['parameters'],
                ms=statistics.median(card['ms_per_image'] for card in own),
                minutes=statistics.median(card['minutes'] for card in own),
            )
        )

    def order(row: dict) -> float:
        value = row['columns']['mIoU unseen', 'quality']
        return -value.mean if value else 0.0

    return sorted(rows, key=order)


def render(cards: Sequence[dict]) -> str:
    """Return the page."""
    parts = [
        '# The ShapeWorld leaderboard\n',
        'All methods learn from the same drawings with the same tiny CLIPs: 47 classes '
        'are in the training annotations, 11 are not. See [ShapeWorld](shapeworld.md). '
        'Numbers are means ± standard deviations over the seeds. "Exchanged names": '
        'every class is asked for by the names of another one; what a method scores '
        'then, it scores without reading.\n',
        '```shell\npython tools/leaderboard.py --benchmark shapeworld --size tiny '
        '--publish\n```\n',
        'runs all rows and writes this page; `--rows NAME` runs one. It goes on where '
        'it was stopped. [Contribute](developer/contributing.md) says how to add a '
        'row. With `--size tiny` a training takes a few minutes: it shows what is '
        'learned soon, not what a method can do.\n',
    ]
    for size in SIZES:
        chosen = [card for card in cards if card['size'] == size]
        if not chosen:
            continue
        num_train, num_val, side, _ = SIZES[size]
        parts.append(
            f'## `--size {size}`\n\n{num_train:,} training and {num_val} other '
            f'pictures of {side} pixels. Iterations: {describe_budget(chosen)}. All '
            f'trainings take {sum(card["minutes"] for card in chosen):.0f} minutes of '
            'one core, if a stage that rows share is counted for each of them.\n'
        )
        titles = [*QUALITY, *(f'exchanged: {x}' for x in CONTROL)]
        head = ['method', *titles, 'parameters', 'ms per image', 'minutes', 'seeds']
        lines = [head, ['---', *['--:'] * (len(head) - 1)]]
        for row in summarize(chosen):
            cells = [str(x) if x else '' for x in row['columns'].values()]
            numbers = [f'{row["parameters"] / 1e6:.1f} M', f'{row["ms"]:.0f}']
            numbers += [f'{row["minutes"]:.0f}', str(row['seeds'])]
            lines.append([row['name'], *cells, *numbers])
        parts += [f'| {" | ".join(line)} |' for line in lines]
        names = {card['name'] for card in chosen}
        notes = [
            f'- {row["Name"]}: {row["Note"]}'
            for row in read_rows()
            if row['Name'] in names and 'Note' in row
        ]
        walls = {x['name'] for x in chosen if x.get('clock') != 'processor'}
        if walls:
            notes.append(
                f'- "ms per image" of {", ".join(sorted(walls))} is that of a clock, '
                'which other work on the machine lengthens; of all others it is the '
                "processor's."
            )
        parts += ['', *notes] if notes else []
        parts.append(
            f'\n![unseen quality against time](images/shapeworld_{size}.png)\n'
        )
    return '\n'.join(parts)


def describe_budget(cards: Sequence[dict]) -> str:
    """Say how long each method was trained, its last stage counted."""
    found = {card['name']: card['iterations'] for card in cards}
    return ', '.join(f'{name} {count:,}' for name, count in sorted(found.items()))


def plot(cards: Sequence[dict]) -> Figure:
    """Plot the quality on unseen classes against the time of an image.

    Names stand beside the plot, so that rows of the same values stay readable.
    """
    rows = summarize(cards)
    figure = Figure(figsize=(7, max(3.5, 0.25 * len(rows))), layout='constrained')
    axes = figure.subplots()
    for index, row in enumerate(rows):
        value = row['columns']['mIoU unseen', 'quality']
        if value:
            axes.errorbar(
                row['ms'],
                value.mean,
                yerr=value.std,
                color=f'C{index % 10}',
                marker=MARKERS[index % len(MARKERS)],
                linestyle='none',
                label=row['name'],
            )
    axes.set_xlabel('ms per image')
    axes.set_ylabel('mIoU of unseen classes')
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.legend(loc='outside right upper', frameon=False)
    return figure


def draw(cards: Sequence[dict]) -> bytes:
    """Draw :func:`plot` as PNG."""
    buffer = io.BytesIO()
    plot(cards).savefig(buffer, format='png', dpi=90, metadata={'Software': None})
    return buffer.getvalue()


def load_cards(folder: Path) -> list[dict]:
    """Read all cards of a folder, in the order of their names."""
    return [read_json(path) for path in sorted(folder.glob('*/*.json'))]


def write_page(page: Path, cards: Sequence[dict]) -> None:
    """Write the page and its charts."""
    for size in {card['size'] for card in cards}:
        chart = draw([card for card in cards if card['size'] == size])
        write_atomic(page.parent / f'images/shapeworld_{size}.png', chart)
    write_atomic(page, render(cards))


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, and write cards and page."""
    args = parse_args(argv)
    if args.only_report:
        write_page(PAGE, load_cards(CARDS))
        print(f'Page: {PAGE}')
        return
    with exit_on_sigterm():
        errors = run_rows(args)
    if errors:
        sys.exit('\n  '.join(['error: these failed:', *errors]))


def run_rows(args: argparse.Namespace) -> list[str]:
    """Run what is missing, and write cards and page; return what went wrong."""
    lab = Board(args)
    lab.folder.mkdir(parents=True, exist_ok=True)
    control = lab.folder / 'exchanged_names.txt'
    write_exchanged_names(control)
    rows = [row for row in read_rows() if row['Name'] in (args.rows or [row['Name']])]
    configs = {row['Name']: find_config(row['Config']) for row in rows}
    with exit_on_error():  # before anything is drawn
        runs = list_runs(configs.values(), args.seeds, control)
    lab.draw()
    missing = len(lab.find_missing(runs))
    print(f'{len(runs)} runs, {missing} to do, below {lab.folder}', flush=True)
    errors = lab.run_all(runs)
    folder = CARDS if args.publish else lab.folder / 'cards'
    for name, config in configs.items():
        for seed in range(args.seeds):
            card = make_card(lab, name, config, seed, control)
            if card:
                words = re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')
                stem = f'{words}_seed{seed}'
                write_card(folder / args.size / f'{stem}.json', card)
    page = PAGE if args.publish else lab.folder / 'leaderboard.md'
    cards = load_cards(folder)
    write_page(page, cards)
    print(f'Page: {page}')
    return errors
