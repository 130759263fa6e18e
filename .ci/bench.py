"""Compare the speed of the working tree with that of a commit, in turns, in one run.

Each tree runs the same ten small cases in a process of its own; the two take turns, so
that what else the machine does meets both. Of every case it prints the medians and the
ratio of the commit's to ours: above 1 we are faster. CPU time is what counts, as wall
time also holds what others do on the machine. CI does not run this; do it on an idle
machine before a release: make bench BASE=HEAD~1
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
LEAST = 0.97


def parse_args(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('base', help='the commit to compare with')
    parser.add_argument('--cases', nargs='+', metavar='CASE', help='these [all]')
    parser.add_argument('--repeat', type=int, default=15, help='runs counted [15]')
    parser.add_argument(
        '--seconds',
        type=float,
        default=60,
        help='of a case, after which five runs are enough [60]',
    )
    parser.add_argument('--threads', type=int, default=1, help='of the CPU [1]')
    parser.add_argument('--out', type=Path, help='write all seconds to this JSON file')
    args = parser.parse_args(arguments)
    if min(args.repeat, args.threads) < 1:
        parser.error('--repeat and --threads must be at least 1.')
    for name in args.cases or ():
        if name not in list_cases():
            known = ', '.join(list_cases())
            parser.error(f'--cases: no case {name!r}; there are {known}.')
    return args


def list_cases():
    """Return the names of the cases, which import nothing."""
    sys.path.insert(0, str(ROOT / '.ci'))
    try:
        from bench_cases import CASES
    finally:
        sys.path.pop(0)
    return list(CASES)


@contextmanager
def worktree(commit):
    """Check a commit out beside the working tree, for a while."""
    git = ['git', '-C', str(ROOT)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'base'
        add = [*git, 'worktree', 'add', '--detach', str(path), commit]
        done = subprocess.run(add, capture_output=True)
        if done.returncode:
            sys.exit(f'error: {commit}: {done.stderr.decode().strip()}')
        try:
            yield path
        finally:
            subprocess.run([*git, 'worktree', 'remove', '--force', str(path)])


class Server:
    """A process that runs cases with the package of a tree."""

    def __init__(self, tree, pictures, threads):
        environ = dict(
            os.environ,
            PYTHONPATH=str(tree),
            MMOVSEG_DATA=str(pictures),
            OMP_NUM_THREADS=str(threads),
            OMP_WAIT_POLICY='PASSIVE',
            # Freed memory stays in the process. Otherwise the luck of a process with
            # page faults changes small cases by a tenth.
            MALLOC_MMAP_THRESHOLD_=str(1 << 30),
            MALLOC_TRIM_THRESHOLD_=str(1 << 33),
        )
        self.process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', ROOT / '.ci/bench_cases.py', tree],
            cwd=pictures,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command, name):
        """Return the answer to a command: what it measured, or an error."""
        print(command, name, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'The process ended in {name!r}; see above.')
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def compare(name, servers, args):
    """Run a case in both trees in turns; return the seconds, or why there are none."""
    for label, server in servers.items():
        answer = server.ask('prepare', name)
        if 'error' in answer:
            return dict(error=f'{label}: {answer["error"]}')
    rows = {label: [] for label in servers}
    start = time.monotonic()
    for index in range(args.repeat):
        # Each goes first as often as the other.
        order = list(servers) if index % 2 else list(servers)[::-1]
        for label in order:
            rows[label].append(servers[label].ask('run', name))
        if index >= 4 and time.monotonic() - start > args.seconds:
            break
    for server in servers.values():
        server.ask('forget', name)
    return rows


def summarize(rows):
    """Return medians and ratios of CPU and wall time, the base's over ours."""
    found = {}
    for clock in ('cpu', 'wall'):
        base, ours = (
            median(row[clock] for row in rows[label]) for label in ('base', 'ours')
        )
        pairs = zip(rows['base'], rows['ours'], strict=True)
        ratios = sorted(b[clock] / o[clock] for b, o in pairs)
        found[clock] = dict(
            base=base,
            ours=ours,
            ratio=base / ours,
            quartiles=[ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]],
        )
    return found


def row_of(name, found):
    """Return a line of the table."""
    if 'error' in found:
        return f'| {name} | {found["error"]} | | | | |'
    cpu, wall = found['cpu'], found['wall']
    low, high = cpu['quartiles']
    return (
        f'| {name} | {1000 * cpu["base"]:.1f} | {1000 * cpu["ours"]:.1f} | '
        f'**{cpu["ratio"]:.2f}** | {low:.2f} to {high:.2f} | {wall["ratio"]:.2f} |'
    )


def main():
    args = parse_args()
    git = ['git', '-C', str(ROOT), 'rev-parse', 'HEAD']
    commit = subprocess.run(git, check=True, capture_output=True, text=True)
    report = {}
    with ExitStack() as stack:
        tree = stack.enter_context(worktree(args.base))
        pictures = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        draw_pictures(tree, pictures)
        servers = {}
        for label, path in (('base', tree), ('ours', ROOT)):
            servers[label] = Server(path, pictures, args.threads)
            stack.callback(servers[label].close)
        print(
            f'| case | {args.base}, ms CPU | ours | ratio | half of the pairs | wall |'
        )
        print('|---|--:|--:|--:|---|--:|', flush=True)
        for name in args.cases or list_cases():
            found = compare(name, servers, args)
            if 'error' not in found:
                found = dict(summarize(found), runs=found)
            report[name] = found
            print(row_of(name, found), flush=True)
            if args.out:
                args.out.parent.mkdir(parents=True, exist_ok=True)
                whole = dict(base=args.base, commit=commit.stdout.strip(), cases=report)
                args.out.write_text(json.dumps(whole, indent=1) + '\n')
    slow = [
        name
        for name, found in report.items()
        if 'error' in found or found['cpu']['ratio'] < LEAST
    ]
    if slow:
        sys.exit(f'Not at least {LEAST} times as fast: {", ".join(slow)}.')


def draw_pictures(tree, folder):
    """Draw the data set that both trees read, with the program of one."""
    draw = tree / 'tools/dataset_converters/make_shapeworld.py'
    sizes = ['--num-train', '8', '--num-val', '8', '--image-size', '320']
    subprocess.run(
        [sys.executable, draw, '--out', folder / 'shapeworld', *sizes],
        env=dict(os.environ, PYTHONPATH=str(tree)),
        stdout=subprocess.DEVNULL,
        check=True,
    )


if __name__ == '__main__':
    main()
