"""The tables of the papers, their numbers and ours, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..apis.config import load_config
from ..apis.zoo import read_metafile
from .run_card import CARD_NAME, hash_config, read_card

# Images of the validation sets that the papers' numbers are of, by folder.
VALIDATION_IMAGES = {
    'coco': 5000,
    'ADEChallengeData2016': 2000,
    'ADE20K_2021_17_01': 2000,
    'VOC2012': 1449,
    'VOC2010': 5105,  # PASCAL Context, 59 and 459 classes
    'cityscapes': 500,
    'mapillary_vistas': 2000,
}

# What the list of run cards shows of each.
MAIN_METRICS = {
    'panoptic/PQ': ('PQ', 1),
    'instance/segm_mAP': ('AP', 100),
    'semantic/mIoU': ('mIoU', 1),
    'semantic/mIoU_union': ('mIoU (union)', 1),
    'semantic/hIoU': ('hIoU', 1),
    'semantic/pAcc': ('pAcc', 1),
    'masks/recall_50': ('recall@50', 1),
}

HEADER = """# Leaderboard

Written by `tools/leaderboard.py` from `metafile.yml` and `published.yml` of each folder
of `configs/` and from run cards; do not edit.

The columns of a table hold what the paper prints. A column *ours* stands to the right
of a number that we measured. Columns *ours* without a single number are left out;
`tools/leaderboard.py --all` shows them.

Our numbers come only from the run cards (`results.json` of `tools/test.py`) in
`results/papers/`. A number in brackets names the card. The config of a row, and its
options if it has any, are listed under the table. A run of a part of the validation
images fills no row.

- **mIoU** of DeOP's tables counts classes that are annotated or predicted, that of
  EOV-Seg's tables annotated classes only. A run card has both.
- **FPS**: images per second of the model alone. The papers timed one V100 (DeOP) and
  one RTX 3090 (EOV-Seg); what ours ran on stands in the list of run cards.
- **Params** are without the text tower. EOV-Seg's paper counts a block of the text
  tower in place of one of the image tower, see `tools/analysis_tools/get_flops.py`.
- **FLOPs** are not part of an evaluation: `tools/analysis_tools/get_flops.py`.
"""


class Card(NamedTuple):
    """A run card and its place in the list.

    Attributes:
        number: From 1.
        file: Its name.
        content: What it holds.
    """

    number: int
    file: str
    content: Mapping[str, Any]


def load_cards(folder: str | Path, *, strict: bool = True) -> list[Card]:
    """Read all run cards of a folder, by name; none if there is no folder.

    Args:
        folder: Of run cards, ``*.json``, of any depth.
        strict: Whether every JSON file must be a run card. Otherwise only those
            called ``results.json`` must: MMEngine writes others next to them.

    Raises:
        ValueError: If a file is no run card that must be one.
    """
    cards: list[Card] = []
    for path in sorted(Path(folder).rglob('*.json')):
        try:
            content = read_card(path)
        except ValueError:
            if strict or path.name == CARD_NAME:
                raise
            continue
        name = path.relative_to(folder).as_posix()
        cards.append(Card(len(cards) + 1, name, content))
    return cards


class Leaderboard:
    """Renders metafiles and run cards.

    A card belongs to a row if it is of the row's config with the row's options: the
    hashes of what decides the result are equal, today's config counts, and the run was
    of all validation images. Of several cards the latest counts.

    Args:
        configs: Folder with ``*/metafile.yml`` and ``*/published.yml``.
        cards: Run cards.
        show_empty: Whether columns *ours* without a single number are shown.
    """

    def __init__(
        self,
        configs: str | Path,
        cards: Sequence[Card] = (),
        *,
        show_empty: bool = False,
    ) -> None:
        self.show_empty = show_empty
        self.metafiles = [
            read_metafile(path) for path in sorted(Path(configs).glob('*/metafile.yml'))
        ]
        self.cards = sorted(cards, key=lambda card: card.content['date'])
        self._remarks: dict[int, str] = {}  # by number, of cards of a row

    def render(self) -> str:
        """Give the whole page."""
        self._remarks.clear()
        parts = [HEADER]
        for metafile in self.metafiles:
            if not metafile['Tables']:
                continue
            collection = metafile['Collections'][0]
            paper = collection['Paper']
            parts.append(
                f'## {collection["Name"]}\n\n[{paper["Title"]}]({paper["URL"]})\n'
            )
            parts += [self._render_table(table) for table in metafile['Tables']]
        parts.append(self._render_cards())
        return '\n'.join(parts)

    def _render_table(self, table: Mapping[str, Any]) -> str:
        number = table['Table']  # a table without number has a name
        name = f'Table {number}' if isinstance(number, int) else number
        # A table is put together column by column: its name, then its cells.
        columns = [
            [str(title), *(_show(row['Text'][index]) for row in table['Rows'])]
            for index, title in enumerate(table['Text'])
        ]
        for index, column in enumerate(table['Columns']):
            paper = [row['Paper'][index] for row in table['Rows']]
            columns.append([column['Name'], *map(_show, paper)])
            if 'Metric' in column:
                digits = _count_digits(paper)
                ours = [self._find_ours(column, row, digits) for row in table['Rows']]
                if self.show_empty or any(ours):
                    columns.append(['*ours*', *ours])
        header, *rows = zip(*columns, strict=True)
        texts = len(table['Text'])
        rule = ['---'] * texts + ['--:'] * (len(header) - texts)
        lines = [f'### {name}: {table["Title"]}\n', *map(_row, (header, rule, *rows))]
        commands = list(_list_commands(table))
        return '\n'.join([*lines, '', *commands]) + ('\n' if commands else '')

    def _find_ours(
        self, column: Mapping[str, Any], row: Mapping[str, Any], digits: int
    ) -> str:
        config = _configs_of(row).get(column.get('Of'))
        options = _options_of(column, row)
        card = None if config is None else self._find_card(config, options)
        if card is None:
            return ''
        metric = column['Metric'].format(row.get('Fill'))
        if metric == 'parameters':
            value = f'{card.content["model"]["parameters"] / 1e6:.0f}M'
        else:
            number = _read_metric(card.content, metric)
            if number is None:
                return ''
            value = f'{number * column.get("Scale", 1):.{digits}f}'
        return f'{value} [{card.number}]'

    def _find_card(self, config: str, options: Mapping[str, Any] | None) -> Card | None:
        named = [card for card in self.cards if _name(card) == config]
        if not named:
            return None
        cfg = load_config(config, options)
        expected, images = hash_config(cfg), count_validation_images(cfg)
        found = None
        for card in named:
            if card.content['config']['sha256'] != expected:
                continue
            if card.content['fps'].get('fast'):
                remark = ' (no table: in the fast mode)'
            elif card.content['images'] == images:
                found, remark = card, ''
            else:
                remark = f' (no table: {card.content["images"]} of {images} images)'
            self._remarks[card.number] = remark
        return found

    def _render_cards(self) -> str:
        lines = ['## Run cards\n']
        if not self.cards:
            return '\n'.join([*lines, 'None yet.\n'])
        names = ('', 'File', 'Config', 'Images', 'Results', 'FPS', 'Ran on', 'Commit')
        lines += [_row(names), _row(['---'] * len(names))]
        for card in sorted(self.cards):
            content = card.content
            results = [
                f'{name} {content["metrics"][key] * scale:.1f}'
                for key, (name, scale) in MAIN_METRICS.items()
                if content['metrics'].get(key) is not None
            ]
            speed = content['fps']['images_per_second']
            cells = [
                f'[{card.number}]{self._remarks.get(card.number, " (no table)")}',
                f'`{card.file}`',
                f'`{" ".join([_name(card), *_options(content["config"]["options"])])}`',
                str(content['images']),
                ', '.join(results),
                '-' if speed is None else f'{speed:.2f}',
                _describe_place(content),
                _describe_commit(content['git']),
            ]
            lines.append(_row(cells))
        return '\n'.join(lines) + '\n'


def count_validation_images(cfg: Mapping[str, Any]) -> int:
    """Give the number of images that the papers' numbers are of.

    Raises:
        KeyError: If the data set of the config is none of theirs.
    """
    return VALIDATION_IMAGES[Path(cfg['test_dataloader']['dataset']['data_root']).name]


def list_configs(metafile: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every config of the tables with its options."""
    for table in metafile['Tables']:
        for row in table['Rows']:
            yield from _runs_of(table, row)


def _configs_of(row: Mapping[str, Any]) -> Mapping[str | None, str]:
    config = row.get('Config') or {}
    return {None: config} if isinstance(config, str) else config


def _options_of(column: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Join the options of a column with those of a row."""
    return {**(column.get('Options') or {}), **(row.get('Options') or {})}


def _runs_of(
    table: Mapping[str, Any], row: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """List what a row needs to run: configs with options, those of its columns too."""
    runs: list[tuple[str, dict[str, Any]]] = []
    for entry, name in _configs_of(row).items():
        for column in table['Columns']:
            run = name, _options_of(column, row)
            if column.get('Of') == entry and run not in runs:
                runs.append(run)
    return runs


def _list_commands(table: Mapping[str, Any]) -> Iterator[str]:
    for row in table['Rows']:
        # Runs that differ in their config only are named together.
        names: dict[str, list[str]] = {}
        for name, options in _runs_of(table, row):
            words = ' '.join(_options(options))
            extra = f' with `--cfg-options {words}`' if words else ''
            names.setdefault(extra, []).append(f'`{name}`')
        if names:
            title = ', '.join(_show(text) for text in row['Text'])
            runs = '; '.join(', '.join(names[extra]) + extra for extra in names)
            yield f'- {title}: {runs}'


def _options(options: Mapping[str, Any]) -> list[str]:
    """Write options as the command line takes them; sizes have to be tuples."""
    return [
        f"'{key}=({','.join(map(str, value))})'"
        if isinstance(value, list)
        else f'{key}={value}'
        for key, value in options.items()
    ]


def _read_metric(card: Mapping[str, Any], metric: str) -> float | None:
    if metric == 'fps':
        return card['fps']['images_per_second']
    return card['metrics'].get(metric)


def _count_digits(values: Iterable[Any]) -> int:
    """Count the decimals with which a column is printed."""
    floats = [str(value) for value in values if isinstance(value, float)]
    return max((len(text.partition('.')[2]) for text in floats), default=1)


def _describe_place(card: Mapping[str, Any]) -> str:
    hardware, speed = card['hardware'], card['fps']
    gpus = sorted(set(hardware['gpus'])) if speed['device'] == 'cuda' else []
    place = ', '.join(gpus) or hardware['cpu']
    processes = hardware['processes']
    times = f'{processes} × ' if processes > 1 else ''
    parts = ', '.join(speed.get('fast', ()))
    fast = f', fast mode ({parts})' if parts else ''
    return f'{times}{place}, batch {speed["batch_size"]}, {speed["dtype"]}{fast}'


def _describe_commit(git: Mapping[str, Any] | None) -> str:
    if git is None:
        return '-'
    return f'`{git["commit"][:10]}`' + (' with changes' if git['dirty'] else '')


def _name(card: Card) -> str:
    return card.content['config']['name']


def _show(value: Any) -> str:
    return '-' if value is None else str(value)


def _row(cells: Sequence[str]) -> str:
    return '| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |'
