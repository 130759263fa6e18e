"""Run all checks that need a GPU, each with a limit of its own; keep what is there.

gpu_suite.sh starts it, with the packages it needs. The steps come in order of value. A
step past its limit is stopped, and what it has written counts; the results of all steps
so far are in one JSON file after each.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

from mmovseg.command_line import pick_device

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools/analysis_tools'
SECONDS = 540
PATIENCE = 8  # times the limits, where a CPU stands for a GPU
# A new model is a line here; one that cannot be built is reported with its reason.
MODELS = ['eovseg-s', 'eovseg-l', 'deop-b16', 'eovseg-m', 'deop-l14']
PEERS = ['san-b16', 'hf-mask2former-t', 'hf-eomt-l', 'san-l14', 'hf-eomt-b']
TINY_MODELS = ['eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs', 'no-such-model']


class Step(NamedTuple):
    """One check.

    Attributes:
        name: Of the step and of its results.
        seconds: It is stopped after so many.
        commands: Run one after the other, as lists of words.
        result: The file that the last of them writes.
    """

    name: str
    seconds: float
    commands: list
    result: Path


def parse_args(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument(
        '--tiny', action='store_true', help='tiny models and images, to try the script'
    )
    parser.add_argument(
        '--seconds', type=float, default=SECONDS, help=f'for all steps [{SECONDS}]'
    )
    parser.add_argument('--only', nargs='+', metavar='STEP', help='these steps [all]')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/gpu_suite'))
    args = parser.parse_args(arguments)
    args.out = args.out.resolve()
    args.patience = PATIENCE if args.device == 'cpu' else 1
    if args.device == 'cuda' and pick_device() != 'cuda':
        parser.error('there is no GPU: try the script with --device cpu --tiny.')
    args.seconds *= args.patience
    names = [step.name for step in list_steps(args)]
    for name in args.only or ():
        if name not in names:
            parser.error(f'--only: no step {name!r}; there are {", ".join(names)}.')
    return args


def list_steps(args):
    """Return all steps, in order of value; together they take SECONDS at most."""
    tests = tests_step(args)
    grid = [sys.executable, TOOLS / 'benchmark_grid.py', '--device', args.device]
    train = [sys.executable, TOOLS / 'benchmark_train.py']
    sizes = ['--batch-size', '1', '8', '32']
    models, peers, trained = (
        MODELS,
        PEERS,
        ['eovseg_r50_coco', 'eovseg_convnext-l_coco'],
    )
    names, compiled = ['eovseg-s', 'eovseg-l', 'deop-b16'], MODELS[:3]
    modes, programs = ['float32', 'bfloat16', 'channels_last'], ['compiled', 'graphs']
    step_options = ['--device', args.device, '--warmup', '2', '--repeat', '5']
    step_options += ['--dtype', 'bfloat16', 'float32']
    step_sizes, shape, cells = ['4', '16'], ['1024', '1024'], ['--cell-seconds', '1']
    pictures = ['--num-train', '64', '--num-val', '1', '--image-size', '640']
    if args.device == 'cuda':
        step_options += ['float16']
    if args.tiny:
        sizes = ['--batch-size', '1', '2', '--size', '64', '96', '--valid-masks', '5']
        models, peers, trained = TINY_MODELS, ['hf-mask2former-t'], TINY_MODELS[:1]
        names = compiled = TINY_MODELS[:1]
        modes, programs = ['float32', 'bfloat16'], ['fast']
        step_options = ['--device', args.device, '--warmup', '0', '--repeat', '1']
        step_sizes, shape, cells = ['1', '2'], ['64', '96'], ['--warmup', '0']
        cells += ['--repeat', '1']
        pictures = ['--num-train', '4', '--num-val', '1', '--image-size', '64']

    def result(name):
        return args.out / f'{name}.json'

    def timed(name, seconds, systems, *options):
        # The tool begins nothing in the last seconds, and so ends by itself.
        command = [*grid, *sizes, *cells, '--systems', *systems, *options]
        command += ['--seconds', str(args.patience * seconds - 15)]
        command += ['--out', result(name)]
        return Step(name, seconds, [command], result(name))

    def steps_of(name, seconds, config, *options):
        command = [*train, config, *step_options, *options, '--out', result(name)]
        return Step(name, seconds, [command], result(name))

    crops = ['--shape', *shape, '--batch-size', *step_sizes]
    training = [
        steps_of(f'training-{config}', seconds, config, *crops)
        for config, seconds in zip(trained, (45, 50), strict=False)
    ]
    draw = [sys.executable, ROOT / 'tools/dataset_converters/make_shapeworld.py']
    draw += ['--out', args.out / 'pictures/shapeworld', *pictures]
    data = steps_of(
        *('training-data', 40, trained[0], '--batch-size', step_sizes[-1]),
        *(
            '--data-of',
            'eovseg_tiny_shapeworld',
            '--workers',
            '8' if not args.tiny else '1',
        ),
    )
    return [
        tests,
        timed('latency', 120, [*models, *peers], '--modes', *modes),
        training[0],
        timed('compiled', 95, compiled, '--modes', *programs),
        timed(
            *('names-1203', 40, names, '--classes', '1203'),
            *('--modes', 'float32', 'bfloat16'),
        ),
        data._replace(commands=[draw, *data.commands]),
        *training[1:],
    ]


def tests_step(args):
    """Return the step that runs the tests marked ``gpu``, or those of devices."""
    marked = sorted(
        path
        for path in (ROOT / 'tests').rglob('test_*.py')
        if 'mark.gpu' in path.read_text() or ', device' in path.read_text()
    )
    marks = 'gpu'
    if args.device == 'cpu':
        marked = [ROOT / 'tests/test_devices']
        marks = 'not gpu and not slow'
    result = args.out / 'tests.xml'
    command = [sys.executable, '-m', 'pytest', '-q', '-m', marks, *marked]
    command += ['-p', 'no:cacheprovider', '--junitxml', result]
    if args.device == 'cuda':
        command += ['-n', '4']
    return Step('tests', 150, [command], result)


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

import torch

from mmovseg.analysis.run_card import describe_place, write_card

MODELS += ['fcclip-r50', 'fcclip-l', 'maskclip-b16']


def read_tests(path):
    """Return outcome, seconds and message of every test of a JUnit file."""
    rows = []
    for case in ElementTree.parse(path).getroot().iter('testcase'):
        row = dict(
            name=f'{case.get("classname")}.{case.get("name")}',
            seconds=float(case.get('time', 0)),
            outcome='passed',
        )
        for child in case:
            if child.tag in ('failure', 'error', 'skipped'):
                message = child.get('message') or child.text or ''
                row.update(outcome=child.tag, message=message[:2000])
        rows.append(row)
    return rows


def read_result(path):
    """Return what a step has written; None if nothing."""
    if not path.is_file():
        return None
    if path.suffix == '.xml':
        return read_tests(path)
    return json.loads(path.read_text())


def run_command(command, seconds, log):
    """Run a command with its children; return its status, None past its limit."""
    with subprocess.Popen(
        [str(x) for x in command],
        cwd=ROOT,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            return process.wait(timeout=max(seconds, 0.1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return None
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def run_step(step, seconds, folder):
    """Run a step; return how it ended and what it found."""
    log_path = folder / f'{step.name}.log'
    start, status = time.monotonic(), 0
    step.result.unlink(missing_ok=True)  # of an earlier run
    with log_path.open('wb') as log:
        for command in step.commands:
            left = seconds - (time.monotonic() - start)
            status = run_command(command, left, log)
            if status != 0:
                break
    took = time.monotonic() - start
    outcome = {0: 'ended', None: f'stopped after {took:.0f} s'}
    lines = log_path.read_text(errors='replace').splitlines()
    return dict(
        commands=[[str(x) for x in command] for command in step.commands],
        outcome=outcome.get(status, f'failed with status {status}'),
        seconds=took,
        limit=seconds,
        result=read_result(step.result),
        log=lines[-60:],
    )


def main():
    args = parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ['MMOVSEG_DATA'] = str(args.out / 'pictures')
    os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'  # the tools need not start anew
    start, failed = time.monotonic(), False
    report = dict(
        settings=dict(vars(args), out=str(args.out)), steps={}, **describe_place()
    )
    if args.device == 'cuda':
        report['gpu'] = torch.cuda.get_device_name()
    for step in list_steps(args):
        if args.only and step.name not in args.only:
            continue
        left = args.seconds - (time.monotonic() - start)
        if left < 10:
            found = dict(outcome='not begun: no time was left')
        else:
            limit = min(args.patience * step.seconds, left)
            found = run_step(step, limit, args.out)
        report['steps'][step.name] = found
        write_card(args.out / 'gpu_suite.json', report)
        failed |= found['outcome'] != 'ended'
        print(f'== {step.name}: {found["outcome"]}')
        print('\n'.join(found.get('log', [])[-40:]), flush=True)
    print(f'All results: {args.out / "gpu_suite.json"}')
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
