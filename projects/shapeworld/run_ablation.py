"""Run the ablations of both papers on ShapeWorld, and set ours beside the papers'.

    python -m projects.shapeworld.run_ablation deop-3 --size tiny --jobs 2
    python -m projects.shapeworld.run_ablation all --publish docs/ablations.md

projects/shapeworld/configs/tables.yml says what the tables are. A row is trained and
evaluated once per seed, from stages that rows share, each in a folder of its own below
WORK_DIR/SIZE/runs. What has its results.json there or in results/ablations is not run
again, what was stopped goes on from its last checkpoint, and what fails is named at the
end. Afterwards WORK_DIR/SIZE holds ablations.md and a picture per table. Run one such
command per folder at a time. --publish also keeps the results in results/ablations.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import importlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mmengine.config import Config

from mmovseg.analysis.run_card import write_card
from mmovseg.apis import load_config
from mmovseg.command_line import exit_on_sigterm
from mmovseg.datasets.preparation import read_json
from mmovseg.datasets.shapeworld_files import VERSION
from mmovseg.fileio import write_atomic

from .ablation_report import Value, draw_table, render_table

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT / 'mmovseg/models/tiny_clip'
CARDS = ROOT / 'results/ablations'
TABLES = yaml.safe_load(
    (Path(__file__).parent / 'configs/tables.yml').read_text(encoding='utf-8')
)
VARIANTS = TABLES.pop('Variants')  # by name: a config, and its model's other values
PARTS = 'projects.eovseg_ablations'  # where the parts of variants are registered
BEGIN, END = (f'<!-- run_ablation.py: {word} -->' for word in ('begin', 'end'))
VIT = 'tiny-vit'  # which a table's `Clip` replaces
# Earlier stages by the model that starts from them.
STAGES = {
    'ZeroShotMaskFormer': ('prompt_tiny_shapeworld-zs',),
    'DeOP': ('prompt_tiny_shapeworld-zs', 'proposals_tiny_shapeworld-zs'),
    'SimBaseline': ('prompt_tiny_shapeworld-zs', 'proposals_tiny_shapeworld-zs'),
}
# They find no classes.
STAGES_ALONE = ('PromptClassifier', 'ZeroShotMaskFormer')
# Our numbers by the start of a table's name: name in results.json and factor.
METRICS = {
    'deop': {
        'pAcc': ('semantic/pAcc', 1),
        'hIoU': ('semantic/hIoU', 1),
        'seen': ('semantic/mIoU_seen', 1),
        'unseen': ('semantic/mIoU_unseen', 1),
    },
    'eovseg': {
        'PQ': ('panoptic/PQ', 1),
        'PQ seen': ('panoptic/PQ_seen', 1),
        'PQ unseen': ('panoptic/PQ_unseen', 1),
        'AP': ('instance/segm_mAP', 100),
        'mIoU': ('semantic/mIoU', 1),
    },
}


class Size(NamedTuple):
    """What --size stands for: pictures, and iterations by model."""

    num_train: int
    num_val: int
    image_size: int
    iterations: dict[str, int]


def count_iterations(prompt: int, proposals: int, deop: int, eovseg: int):
    return dict(
        PromptClassifier=prompt,
        ZeroShotMaskFormer=proposals,
        DeOP=deop,
        SimBaseline=deop,  # which is not trained itself
        EOVSeg=eovseg,
        FCCLIP=eovseg,
    )


SIZES = {
    'tiny': Size(300, 60, 128, count_iterations(150, 250, 200, 250)),
    # Pictures as make_shapeworld.py has them; iterations as the configs, and 5 times.
    'small': Size(1000, 100, 128, count_iterations(200, 450, 400, 700)),
    # For the ablations: at least 2,000 iterations of EOV-Seg.
    'medium': Size(1000, 100, 128, count_iterations(200, 450, 400, 2000)),
    'full': Size(10000, 500, 192, count_iterations(1000, 2250, 2000, 3500)),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*TABLES, 'all']
    parser.add_argument('tables', nargs='*', metavar='TABLE', help=', '.join(names))
    parser.add_argument('--list', action='store_true', help='list the tables')
    parser.add_argument('--size', choices=list(SIZES), default='tiny')
    parser.add_argument('--seeds', type=int, default=3, help='runs per row')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/ablations'))
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at a time, of one thread each if > 1'
    )
    parser.add_argument(
        '--data', type=Path, help='folder that holds shapeworld/, if not to be drawn'
    )
    parser.add_argument(
        '--iterations', type=int, help='of every training, if not by --size'
    )
    parser.add_argument(
        '--only-report', action='store_true', help='run nothing, report what is there'
    )
    parser.add_argument(
        '--publish', type=Path, metavar='PAGE.md', help='put the report into a page'
    )
    args = parser.parse_args(argv)
    unknown = set(args.tables) - set(names)
    if unknown or not (args.tables or args.list):
        parser.error(f'TABLE must be of {", ".join(names)}, got {args.tables}.')
    if args.seeds < 1 or args.jobs < 1:
        parser.error('--seeds and --jobs must be at least 1.')
    if args.iterations is not None and args.iterations < 2:
        parser.error(f'--iterations must be at least 2, got {args.iterations}.')
    if 'all' in args.tables:
        args.tables = list(TABLES)
    if args.publish and set(args.tables) != set(TABLES):
        parser.error('--publish replaces all tables of a page: ask for all of them.')
    return args


@functools.cache
def load(name: str, clip: str = VIT) -> Config:
    """Load a packaged config or a variant, the same on every machine (see main).

    Args:
        name: Of a config or a variant.
        clip: A packaged CLIP in the place of the tiny ViT.
    """
    base = VARIANTS[name]['Config'] if name in VARIANTS else name
    importlib.import_module(PARTS)
    return load_config(base, find_changes(name, clip))


@functools.cache
def dump(name: str, clip: str) -> str:
    """Return what :func:`load` returns as text, to be hashed."""
    return json.dumps(load(name, clip).to_dict(), sort_keys=True, default=str)


def find_changes(name: str, clip: str) -> dict[str, Any]:
    """Return what a run has that the config of its file has not."""

    def swap(part: Any, changes: dict[str, Any]) -> dict[str, Any]:
        """Add the names of CLIPs that change in a part."""
        found = dict(changes)
        for key, value in part.items():
            if key == 'model_name' and value == VIT:
                found[key] = clip
            elif isinstance(value, dict):
                inner = swap(value, changes.get(key) or {})
                found |= {key: inner} if inner else {}
        return found

    changes = dict(model=VARIANTS[name]['Model']) if name in VARIANTS else {}
    if clip == VIT:
        return changes
    config = load(name)
    changes = dict(model=swap(config.model, changes.get('model', {})))
    dataset = (config.get('train_dataloader') or {}).get('dataset', {})
    pipeline = [dict(step) for step in dataset.get('pipeline', ())]
    for step in pipeline:
        if step['type'] == 'CropClass':  # to the size that the CLIP is made for
            step['size'] = read_json(CLIPS / f'{clip}.json')['vision_cfg']['image_size']
            changes['train_dataloader'] = dict(dataset=dict(pipeline=pipeline))
    return changes


class Run(NamedTuple):
    """A config or variant with a seed; with options, another test of its checkpoint."""

    config: str
    seed: int
    options: tuple[tuple[str, Any], ...] = ()
    clip: str = VIT
    iterations: int | None = None  # of the last training, if not by the size

    @property
    def loaded(self) -> Config:
        """The config with the CLIP of the run."""
        return load(self.config, self.clip)

    @property
    def parents(self) -> list[Run]:
        """What has to be done before, in the order in which it was trained."""
        if self.options:
            return [self._replace(options=())]
        stages = STAGES.get(self.loaded.model.type, ())
        return [self._replace(config=stage, iterations=None) for stage in stages]

    @property
    def depth(self) -> int:
        return max((1 + parent.depth for parent in self.parents), default=0)


def list_runs(names: Sequence[str], num_seeds: int) -> list[Run]:
    """List the runs of tables and all before them, each once, earlier stages first."""
    found: dict[Run, None] = {}
    for seed, name in itertools.product(range(num_seeds), names):
        if seed not in list_seeds(name, num_seeds):
            continue
        for row in TABLES[name]['Rows']:
            found |= dict.fromkeys(list_stages(row_run(name, row, seed)))
    return sorted(found, key=lambda run: run.depth)


def list_stages(run: Run) -> list[Run]:
    """List a run after all that has to be done before it."""
    return [x for parent in run.parents for x in list_stages(parent)] + [run]


def row_run(name: str, row: dict, seed: int) -> Run:
    """Return the run of a row of a table with a seed."""
    options = tuple(row.get('Options', {}).items())
    table = TABLES[name]
    clip, iterations = table.get('Clip', VIT), table.get('Iterations')
    return Run(row['Config'], seed, options, clip, iterations)


def list_seeds(name: str, num_seeds: int) -> range:
    """Return the seeds of a table, which may have fewer than the others."""
    return range(min(num_seeds, TABLES[name].get('Seeds', num_seeds)))


def read_seconds(path: Path) -> float:
    """Read what :func:`add_seconds` wrote; 0 if it never did."""
    return read_json(path)['seconds'] if path.is_file() else 0.0


@contextmanager
def add_seconds(path: Path, clock: Callable[[], float]) -> Iterator[None]:
    """Add what passes inside to a file: a run that is stopped goes on another time."""
    start = clock()
    try:
        yield
    finally:
        write_card(path, dict(seconds=read_seconds(path) + clock() - start))


class Lab:
    """Runs runs, each in a folder named after all that its result depends on.

    Args:
        args: The command line.
        cards: Folder with published results, if they count as done.
    """

    def __init__(self, args: argparse.Namespace, cards: Path | None = None) -> None:
        self.cards = cards
        self.name, self.size = args.size, SIZES[args.size]
        self.iterations = args.iterations
        self.folder = args.work_dir.resolve() / args.size
        self.drawn = args.data is None
        self.data = self.folder / 'data' if self.drawn else args.data.resolve()
        self.jobs = args.jobs
        self.environment = dict(os.environ, MMOVSEG_DATA=str(self.data))
        if args.jobs > 1:
            self.environment['OMP_NUM_THREADS'] = '1'
        self.children: set[subprocess.Popen] = set()
        self.stopped = False

    def key(self, run: Run) -> str:
        """Hash configs, iterations, pictures and packaged weights of a run."""
        config = dump(run.config, run.clip)
        clips = [
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(CLIPS.iterdir())
            if path.suffix in ('.json', '.safetensors') and f'"{path.stem}"' in config
        ]
        data = [*self.size[:3], VERSION] if self.drawn else str(self.data)
        parents = [self.key(parent) for parent in run.parents]
        named = [run.config, run.seed, run.options]
        content = [config, named, self.count_iterations(run), clips, data, parents]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def path(self, run: Run) -> Path:
        """Return the folder of a run."""
        key = self.key(run)[:10]
        name = Path(run.config).stem  # of a file or of a name
        return self.folder / 'runs' / f'{name}_seed{run.seed}_{key}'

    def config(self, run: Run) -> Path:
        """Return the config file of a run; one with changes is written."""
        changes = find_changes(run.config, run.clip)
        if not changes:
            return Path(run.loaded.filename)
        path = self.path(run) / 'config.py'
        lines = (
            f'"""Variant {run.config} of tables.yml."""\n',
            f'_base_ = {run.loaded.filename!r}',
            f'custom_imports = dict(imports=[{PARTS!r}])',
            *(f'{key} = {value!r}' for key, value in changes.items()),
            '',
        )
        write_atomic(path, '\n'.join(lines))
        return path

    def checkpoint(self, run: Run) -> Path:
        if run.options:
            return self.checkpoint(run.parents[0])
        if run.loaded.get('train_cfg') is None:
            return self.path(run) / 'model.pth'
        return self.path(run) / f'train/iter_{self.count_iterations(run)}.pth'

    def count_iterations(self, run: Run) -> int:
        model = run.loaded.model.type
        return self.iterations or run.iterations or self.size.iterations[model]

    def draw(self) -> None:
        """Draw the pictures, unless there are such."""
        if not self.drawn:
            if not (self.data / 'shapeworld').is_dir():
                sys.exit(f'error: --data: there is no {self.data / "shapeworld"}.')
            return
        tool = 'tools/dataset_converters/make_shapeworld.py'
        sizes = [f'--{key.replace("_", "-")}' for key in Size._fields[:3]]
        options = [*itertools.chain(*zip(sizes, self.size[:3], strict=True))]
        options += ['--out', self.data / 'shapeworld', '--workers', self.jobs]
        self.call(self.folder, tool, *options)

    def call(self, folder: Path, tool: str, *arguments: Any) -> None:
        """Run one of our tools; its output goes to a log in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(ROOT / tool), *map(str, arguments)]
        with (folder / 'log.txt').open('a') as log:
            print(f'$ {" ".join(command[1:])}', file=log, flush=True)
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )
            self.children.add(process)
            if self.stopped:
                process.terminate()
            code = process.wait()
            self.children.discard(process)
        if code:
            raise RuntimeError(f'{tool} ended with {code}, see {log.name}')

    def train(self, run: Run, parents: Sequence[Path]) -> None:
        """Train a run from the checkpoints before it, or go on with it."""
        cfg, path = run.loaded, self.path(run)
        if cfg.get('train_cfg') is None:
            tool = 'tools/model_converters/assemble_stages.py'
            self.call(path, tool, self.config(run), self.checkpoint(run), *parents)
            return
        iterations = self.count_iterations(run)
        warm_up = min(cfg.param_scheduler[0].end, iterations // 2)
        options = {
            'randomness.seed': run.seed,
            'train_cfg.max_iters': iterations,
            'param_scheduler.0.end': warm_up,
            'param_scheduler.1.begin': warm_up,
            'param_scheduler.1.end': iterations,
            'param_scheduler.1.T_max': iterations - warm_up,
            'default_hooks.logger.interval': max(1, min(50, iterations // 5)),
            'default_hooks.checkpoint.interval': max(1, iterations // 4),
            'default_hooks.checkpoint.max_keep_ckpts': 1,
        }
        # Evaluated afterwards, by tools/test.py.
        options |= dict.fromkeys(('val_cfg', 'val_dataloader', 'val_evaluator'))
        words = [f'{key}={value}' for key, value in options.items()]
        init = ['--init-from', *parents] if parents else []
        arguments = [self.config(run), '--work-dir', path / 'train', '--resume', *init]
        self.call(path, 'tools/train.py', *arguments, '--cfg-options', *words)

    def test(self, run: Run) -> dict[str, Any]:
        """Evaluate the checkpoint of a run; return all metrics."""
        folder = self.path(run) / 'test'
        arguments = [self.config(run), self.checkpoint(run), '--work-dir', folder]
        words = [f'{key}={value}' for key, value in run.options]
        options = ['--cfg-options', *words] if words else []
        self.call(self.path(run), 'tools/test.py', *arguments, *options)
        return read_json(folder / 'results.json')['metrics']

    def finish(self, run: Run, parents: dict[Run, Future | None]) -> Path:
        """Do what is missing of a run once its parents are there, all but None."""
        checkpoints = [
            future.result() if future else self.checkpoint(parent)
            for parent, future in parents.items()
        ]
        path, checkpoint = self.path(run), self.checkpoint(run)
        note = path / 'train_seconds.json'
        if not checkpoint.is_file():
            with add_seconds(note, time.perf_counter):
                self.train(run, checkpoints)
        if self.find_results(run) is not None:
            return checkpoint
        start = time.perf_counter()
        tested = run.loaded.model.type not in STAGES_ALONE
        metrics = self.test(run) if tested else {}
        seconds = read_seconds(note), time.perf_counter() - start
        results = dict(
            key=self.key(run),
            **run._replace(
                options=dict(run.options), iterations=self.count_iterations(run)
            )._asdict(),
            seconds=dict(zip(('train', 'test'), seconds, strict=True)),
            metrics=metrics,
        )
        write_card(path / 'results.json', results)
        print(f'{path.name}: {seconds[0]:.0f} + {seconds[1]:.0f} s', flush=True)
        return checkpoint

    def find_results(self, run: Run) -> Path | None:
        """Return where the results of a run are: here, published or nowhere."""
        path = self.path(run)
        places = [path / 'results.json']
        if self.cards is not None:
            places.append(self.cards / self.name / f'{path.name}.json')
        return next((place for place in places if place.is_file()), None)

    def find_missing(self, runs: Sequence[Run]) -> list[Run]:
        """Return what is not done, and what that starts from.

        Args:
            runs: Each after all that has to be done before it.
        """
        needed: set[Run] = set()
        for run in reversed(runs):
            if run in needed or self.find_results(run) is None:
                missing = [x for x in run.parents if not self.checkpoint(x).is_file()]
                needed |= {run, *missing}
        return [run for run in runs if run in needed]

    def publish(self, runs: Sequence[Run]) -> None:
        """Keep the results of runs in the clone."""
        for run in runs:
            path = self.path(run) / 'results.json'
            if path.is_file():
                card = CARDS / self.name / f'{path.parent.name}.json'
                write_atomic(card, path.read_bytes())

    def run_all(self, runs: Sequence[Run]) -> list[str]:
        """Do what is missing of runs, however many fail; return what went wrong."""
        runs = self.find_missing(runs)
        done: dict[Run, Future] = {}
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                # In this order no run waits for one that has not been started.
                for run in runs:
                    done[run] = pool.submit(
                        self.finish, run, {x: done.get(x) for x in run.parents}
                    )
                errors = [(run, future.exception()) for run, future in done.items()]
            except BaseException:  # Ctrl-C, SIGTERM
                self.stopped = True
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(self.children):
                    process.terminate()
                raise
        return [f'{run.config}, seed {run.seed}: {e}' for run, e in errors if e]

    def read(self, run: Run) -> dict[str, float | None]:
        """Return the metrics of a run, {} if it is not done."""
        path = self.find_results(run)
        return read_json(path)['metrics'] if path else {}


def measure(lab: Lab, name: str, num_seeds: int) -> list[dict[str, Value]]:
    """Average what was measured, per row and by the name of the number."""
    rows = []
    for row in TABLES[name]['Rows']:
        seeds = [
            lab.read(row_run(name, row, seed)) for seed in list_seeds(name, num_seeds)
        ]
        rows.append({})
        for title, (key, factor) in METRICS[name.split('-')[0]].items():
            values = [x[key] * factor for x in seeds if x.get(key) is not None]
            if values:
                std = statistics.stdev(values) if len(values) > 1 else 0.0
                mean = statistics.mean(values)
                rows[-1][title] = Value(mean, std, len(values), tuple(values))
    return rows


def write_report(page: Path, images: Path, args: argparse.Namespace, lab: Lab) -> None:
    """Write tables and pictures; of a page with our marks, what is between them."""
    command = [*args.tables, '--size', args.size, '--seeds', str(args.seeds)]
    if args.iterations:
        command += ['--iterations', str(args.iterations)]
    num_train, num_val, side, _ = lab.size
    pictures = f'{num_train:,} training and {num_val} other pictures of {side} px'
    parts = [
        f'`python -m projects.shapeworld.run_ablation {" ".join(command)}`: '
        f'{pictures if lab.drawn else "pictures of --data"}; ours are means ± '
        'standard deviations over the seeds.\n'
    ]
    for name in args.tables:
        rows = measure(lab, name, args.seeds)
        table = TABLES[name]
        parts.append(f'### {name}: {table["Title"]}\n')
        if not any(rows):
            parts.append('Not run yet at this size.\n')
            continue
        image = images / f'ablation_{name}.png'
        write_atomic(image, draw_table(table, rows))
        link = Path(os.path.relpath(image, page.parent)).as_posix()
        titles = list(METRICS[name.split('-')[0]])
        parts.append(render_table(table, rows, titles=titles, image=link))
    block = '\n'.join([BEGIN, '', *parts, END])
    text = page.read_text(encoding='utf-8') if page.is_file() else '# Ablations\n'
    found = re.compile(f'{re.escape(BEGIN)}.*{re.escape(END)}', re.DOTALL)
    if found.search(text):
        text = found.sub(lambda _: block, text)
    else:
        text = f'{text.rstrip()}\n\n{block}\n'
    write_atomic(page, text.encode())


def main() -> None:
    args = parse_args()
    if args.list:
        for name, table in TABLES.items():
            print(f'{name}: {table["Title"]} ({table["Source"]})')
        return
    with exit_on_sigterm():
        errors = run_tables(args)
    if errors:
        sys.exit('\n  '.join(['error: these failed:', *errors]))


def run_tables(args: argparse.Namespace) -> list[str]:
    """Run what is missing, and write reports; return what went wrong."""
    lab = Lab(args, CARDS)
    os.environ.pop('MMOVSEG_DATA', None)  # no part of a config's hash
    errors: list[str] = []
    if not args.only_report:
        lab.draw()
        runs = list_runs(args.tables, args.seeds)
        missing = len(lab.find_missing(runs))
        print(f'{len(runs)} runs, {missing} to do, below {lab.folder}', flush=True)
        errors = lab.run_all(runs)
    write_report(lab.folder / 'ablations.md', lab.folder, args, lab)
    print(f'Report: {lab.folder / "ablations.md"}')
    if args.publish:
        lab.publish(list_runs(args.tables, args.seeds))
        page = args.publish.resolve()
        write_report(page, page.parent / 'images', args, lab)
    return errors


if __name__ == '__main__':
    main()
