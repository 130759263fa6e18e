"""Label many photos."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...analysis.run_card import hash_config
from ...apis import ImageError, OutputError
from ...apis.hub import list_classes
from ...apis.label_run import (
    LEAST_SCORE,
    LabelChoice,
    LabelRun,
    Shard,
    check_unchanged,
    hash_weights,
)
from ...apis.photo_list import ListedPhoto, list_photos
from ...apis.ray_run import WorkError, import_ray, run_with_ray
from ...apis.results import SCORE_THR
from ...command_line import (
    BAD_INPUT,
    FAILED,
    NOT_WRITTEN,
    counted,
    print_json,
    without_log,
)
from ...fileio import printable, printable_lines
from ...labels import check_formats
from ...vocabulary import Vocabulary
from .models import choose_model, load_model

SHOWN = 10  # photos that could not be used; all are in failed.json


def run(args: argparse.Namespace) -> int:
    """Label; return the exit status."""
    try:
        return _run(args)
    except OutputError as error:
        return _fail(error, NOT_WRITTEN)
    except (ImageError, ValueError, OSError, RuntimeError, ImportError) as error:
        return _fail(error, BAD_INPUT)


def _fail(error: Exception, status: int) -> int:
    print(f'error: {printable_lines(str(error))}', file=sys.stderr)
    return status


def _run(args: argparse.Namespace) -> int:
    kept, classes = read_classes(args)
    score_thr = SCORE_THR[args.task] if args.score_thr is None else args.score_thr
    choice = LabelChoice(kept, score_thr, args.thresholds, args.min_area)
    least = min([score_thr, *args.thresholds.values()])
    if least < LEAST_SCORE[args.task]:
        raise ValueError(
            f'Instances below {LEAST_SCORE[args.task]} are not kept, got {least}.'
        )
    check_formats(args.format, kept)  # before a long list is read
    shard = Shard.parse(args.shard)
    photos = list_photos(args.photos, args.root)
    check_formats(args.format, kept, [photo.name for photo in photos])
    check_unchanged(args.out, args.format)
    print(
        f'{len(photos)} photos, {len(shard.take(photos))} of them in this part.'
        if shard.step > 1
        else f'{len(photos)} photos.',
        file=sys.stderr,
    )
    args.model = args.model or choose_model()
    if args.ray:
        share_by_ray(args, photos, classes, shard)
        labels = LabelRun(args.out, photos)
    elif args.workers > 1:
        share(args, photos, classes, shard)
        labels = LabelRun(args.out, photos)
    else:
        labels = work(args, photos, classes, shard)
    return finish(args, labels, choice)


def read_classes(args: argparse.Namespace) -> tuple[Vocabulary, Vocabulary]:
    """Return the classes of labels, and with those that are found and dropped."""
    kept = Vocabulary.from_string(args.classes)
    if args.other is None:
        return kept, kept
    other = Vocabulary.from_string(args.other)
    return kept, kept + other


def work(
    args: argparse.Namespace,
    photos: Sequence[ListedPhoto],
    classes: Vocabulary,
    shard: Shard,
) -> LabelRun:
    """Make the records of a part of the photos."""
    labels, for_each = open_run(args, photos, classes)
    todo = labels.find_open(shard)
    done = len(shard.take(photos)) - len(todo)
    if done:
        print(f'Done already: {counted(done, "photo")}.', file=sys.stderr)
    if todo:
        with without_log():
            labels.work(todo, for_each)
    return labels


def open_run(
    args: argparse.Namespace, photos: Sequence[ListedPhoto], classes: Vocabulary
) -> tuple[LabelRun, Callable[..., list[dict[str, str]]]]:
    """Build the model; return the folder of the labels, and what segments photos."""
    inferencer = load_model(args, vocabulary=classes)
    about = dict(
        model=str(args.model),
        config=hash_config(inferencer.cfg),
        weights=hash_weights(inferencer.model),
        fast=args.fast,
        keep_names=args.keep_names,
        task=args.task,
        classes=list_classes(classes),
        examples=describe_examples(inferencer.model.vocabulary),
    )
    for_each = partial(
        inferencer.for_each,
        batch_size=args.batch_size,
        task=args.task,
        score_thr=LEAST_SCORE[args.task],
    )
    return LabelRun(args.out, photos, about), for_each


def describe_examples(vocabulary: Vocabulary) -> str | None:
    """Return a hash of the examples; None without any."""
    return vocabulary.fingerprint if vocabulary.examples else None


def share(
    args: argparse.Namespace,
    photos: Sequence[ListedPhoto],
    classes: Vocabulary,
    shard: Shard,
) -> None:
    """Let several processes work, each on a part; they end with this one.

    Raises:
        RuntimeError: If one of them has ended before its work was done.
    """
    import torch

    count = torch.cuda.device_count() if args.device is None else 0
    context = multiprocessing.get_context('spawn')
    workers = []
    for index in range(args.workers):
        device = f'cuda:{index % count}' if count else args.device
        own = argparse.Namespace(**{**vars(args), 'device': device, 'workers': 1})
        part = Shard(shard.first + shard.step * index, shard.step * args.workers)
        worker = context.Process(
            target=_work_alone, args=(own, photos, classes, part), daemon=True
        )
        worker.start()
        workers.append(worker)
    for worker in workers:
        worker.join()
    codes = [worker.exitcode for worker in workers if worker.exitcode]
    if codes:
        if NOT_WRITTEN in codes:
            raise OutputError('Labels cannot be written; see above.')
        raise RuntimeError(
            f'{len(codes)} of {args.workers} workers ended early (exit status '
            f'{", ".join(map(str, codes))}). What they have done is kept: run the same '
            'command again.'
        )


def share_by_ray(
    args: argparse.Namespace,
    photos: Sequence[ListedPhoto],
    classes: Vocabulary,
    shard: Shard,
) -> None:
    """Let the processes of a Ray cluster work, which see the same folders.

    Raises:
        OutputError: If labels cannot be written.
        WorkError: If a worker cannot go on for another reason.
    """
    import torch

    ray = import_ray()
    items = list(range(len(photos)))[shard.first :: shard.step]
    place = os.getcwd(), torch.get_num_threads()
    arguments = (args, list(photos), classes, *place)
    uses_gpu = args.device is None and torch.cuda.is_available()
    try:
        run_with_ray(
            make_worker, arguments, items, workers=args.workers, gpus=int(uses_gpu)
        )
    except WorkError as error:
        if error.kind == OutputError.__name__:
            raise OutputError(str(error)) from error
        raise
    except ray.exceptions.RayError as error:
        raise RuntimeError(
            f'Ray has ended the work: {error}. What is done is kept: run the same '
            'command again.'
        ) from error


def make_worker(
    args: argparse.Namespace,
    photos: Sequence[ListedPhoto],
    classes: Vocabulary,
    folder: str,
    threads: int,
) -> Callable[[list[int]], None]:
    """Build a model in a process of Ray; return what does the photos of a batch."""
    import torch

    os.chdir(folder)
    torch.set_num_threads(threads)  # Ray sets one, which may round in another way
    labels, for_each = open_run(args, photos, classes)

    def work(items: list[int]) -> None:
        todo = labels.select_open([photos[item] for item in items])
        if todo:
            with without_log():
                labels.work(todo, for_each)

    return work


def _work_alone(args: argparse.Namespace, *rest: Any) -> None:
    try:
        work(args, *rest)
    except OutputError as error:
        sys.exit(_fail(error, NOT_WRITTEN))
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        sys.exit(_fail(error, BAD_INPUT))


def finish(args: argparse.Namespace, labels: LabelRun, choice: LabelChoice) -> int:
    """Write the labels if all parts are done, and report."""
    count, failed = labels.count_open(), labels.read_failed()
    folders = []
    if not count:
        folders = [str(x) for x in labels.write_labels(args.format, choice)]
    if args.json:
        print_json(
            dict(photos=len(labels.photos), open=count, labels=folders, failed=failed)
        )
    elif count:
        print(
            f'Other parts still have {counted(count, "photo")} to do. The part that '
            'ends last writes the labels; so does the same command again.'
        )
    else:
        done = counted(len(labels.photos) - len(failed), 'photo')
        print(f'{done} labeled: {args.out}')
        for folder in folders:
            print(f'  {printable(folder)}')
    for name, message in list(failed.items())[:SHOWN]:
        print(f'error: {printable(name)}: {printable_lines(message)}', file=sys.stderr)
    if len(failed) > SHOWN:
        print(f'... {len(failed)} in all, see failed.json.', file=sys.stderr)
    return FAILED if failed else 0
