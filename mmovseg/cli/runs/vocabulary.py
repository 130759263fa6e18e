"""Compare the vocabulary of a training with one to test on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ...command_line import exit_on_error, print_json, print_table
from ...fileio import printable
from ...vocabulary import Vocabulary


def describe(letter: str, source: str, vocabulary: Vocabulary) -> None:
    print(
        f'{letter}: {source}: {len(vocabulary)} classes, {sum(vocabulary.is_thing)} of '
        f'them things, {len(vocabulary.all_names)} names'
    )


def print_list(title: str, items: Sequence[str], top: int) -> None:
    if items:
        rest = f', ... ({len(items)} in all)' if len(items) > top else ''
        print(f'{title}: {", ".join(map(str, items[:top]))}{rest}')


def print_overlap(train: Vocabulary, test: Vocabulary, top: int) -> Sequence[bool]:
    from ...analysis.vocabulary_report import find_overlap

    overlap = find_overlap(train, test)
    parts = []
    for name, kind in (('things', True), ('stuff', False)):
        pairs = zip(overlap.seen, test.is_thing, strict=True)
        flags = [seen for seen, thing in pairs if thing == kind]
        parts.append(f'{sum(flags)} of {len(flags)} {name}')
    print(
        f'\nSeen in A: {sum(overlap.seen)} of {len(test)} classes of B '
        f'({", ".join(parts)})'
    )
    unseen = [n for n, s in zip(test.names, overlap.seen, strict=True) if not s]
    print_list('Unseen', unseen, top)
    texts = [f'{name!r} / {other!r}' for name, other in overlap.near_misses]
    print_list('Unseen for their spelling only (B / A)', texts, top)
    others = [test.names[label] for label in overlap.other_flags]
    print_list('Thing in one and stuff in the other', others, top)
    return overlap.seen


def print_shared(letter: str, vocabulary: Vocabulary, top: int) -> None:
    shared = vocabulary.shared_names()
    print(f'\nNames of {letter} that several classes share: {len(shared)}')
    for name, labels in list(shared.items())[:top]:
        print(f'  {name!r}: {", ".join(vocabulary.names[label] for label in labels)}')
    if len(shared) > top:
        print(f'  ... and {len(shared) - top} more')


def print_pairs(
    title: str, pairs: Sequence[Any], first: Vocabulary, second: Vocabulary
) -> None:
    print(f'\n{title}')
    for pair in pairs:
        texts = []
        for vocabulary, label, name in zip(
            (first, second), pair.labels, pair.names, strict=True
        ):
            head = vocabulary.names[label]
            texts.append(head if head == name else f'{head} ({name})')
        print(f'  {pair.similarity:.3f}  {texts[0]} / {texts[1]}')


def print_similarity(
    args: argparse.Namespace,
    train: Vocabulary,
    test: Vocabulary,
    seen: Sequence[bool],
) -> None:
    from ...analysis.vocabulary_report import build_text_tower, rank_pairs

    classifier, description = build_text_tower(
        args.config, args.checkpoint, cfg_options=args.cfg_options
    )
    print(f'\nText tower: {description}')
    rows = classifier.encode(test)
    pairs = rank_pairs(test, rows, top=args.top)
    print_pairs('Most similar classes of B (cosine)', pairs, test, test)
    if all(seen):
        return
    hidden = [label for label, known in enumerate(seen) if not known]
    unseen = Vocabulary(
        tuple(test.synonyms[label] for label in hidden),
        tuple(test.is_thing[label] for label in hidden),
    )
    keep = [not seen[label] for label in test.class_ids]
    pairs = rank_pairs(
        unseen, rows[keep], train, classifier.encode(train), top=args.top
    )
    print_pairs('Unseen classes of B closest to a class of A', pairs, unseen, train)


def compare(args: argparse.Namespace) -> None:
    """Print how a list to test on differs from that of the training."""
    train, test = map(Vocabulary.from_string, args.lists)
    describe('A', args.lists[0], train)
    describe('B', args.lists[1], test)
    seen = print_overlap(train, test, args.top)
    print_shared('A', train, args.top)
    print_shared('B', test, args.top)
    if not args.no_similarity:
        print_similarity(args, train, test, seen)


def compare_as_json(lists: Sequence[str]) -> dict[str, Any]:
    from ...analysis.vocabulary_report import find_overlap

    train, test = map(Vocabulary.from_string, lists)
    overlap = find_overlap(train, test)
    return dict(
        train=list_classes(train),
        test=[
            dict(entry, seen=bool(seen))
            for entry, seen in zip(list_classes(test), overlap.seen, strict=True)
        ],
        near_misses=[list(pair) for pair in overlap.near_misses],
        shared={
            name: [test.names[label] for label in labels]
            for name, labels in test.shared_names().items()
        },
    )


def list_classes(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    pairs = zip(vocabulary.synonyms, vocabulary.is_thing, strict=True)
    entries: list[dict[str, Any]]
    entries = [dict(names=list(names), isthing=thing) for names, thing in pairs]
    if vocabulary.examples:
        for entry, count in zip(entries, vocabulary.num_examples, strict=True):
            entry['examples'] = count
    return entries


def show(vocabulary: Vocabulary, as_json: bool) -> None:
    if as_json:
        print_json(list_classes(vocabulary))
        return
    for line, count in zip(vocabulary.to_lines(), vocabulary.num_examples, strict=True):
        shown = '' if not count else f'  ({count} example{"s" * (count > 1)})'
        print(f'{printable(line)}{shown}')


def read_list(args: argparse.Namespace) -> Vocabulary:
    """Read a list with the examples of the command line; save it if asked to."""
    vocabulary = Vocabulary.from_string(args.lists[0])
    if args.examples:
        from ...apis.example_files import add_example_files

        vocabulary = add_example_files(vocabulary, args.examples)
    if args.out:
        vocabulary.save(args.out)
    return vocabulary


def list_packaged(as_json: bool) -> None:
    entries = []
    for name in Vocabulary.available():
        vocabulary = Vocabulary.load(name)
        count, things = len(vocabulary), sum(vocabulary.is_thing)
        names = len(vocabulary.all_names)
        entries.append(dict(name=name, classes=count, things=things, names=names))
    if as_json:
        print_json(entries)
        return
    rows = [tuple(entries[0]), *(tuple(map(str, x.values())) for x in entries)]
    print_table(rows)


def run(args: argparse.Namespace) -> int:
    """List, show or compare; return the exit status."""
    with exit_on_error():
        if not args.lists:
            list_packaged(args.json)
        elif len(args.lists) == 1:
            vocabulary = read_list(args)
            show(vocabulary, args.json)
        elif args.json:
            print_json(compare_as_json(args.lists))
        else:
            compare(args)
    return 0
