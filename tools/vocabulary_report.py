"""Compare the vocabulary of a training with one to test on.

    tools/vocabulary_report.py coco_panoptic ade20k_150 --config eovseg_r50_coco

A and B are names of packaged vocabularies, .txt files, or classes like "dog; puppy,
stuff: grass". Prints which classes of B are seen in A, names that several classes
share, and the pairs of classes that a text tower tells apart worst. Without --config
that is a tiny tower that knows the words of drawn shapes alone; to others its
similarities mean nothing.
"""

import argparse

from mmovseg.command_line import exit_on_error
from mmovseg.vocabulary import Vocabulary


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('train', metavar='A', help='vocabulary of the training')
    parser.add_argument('test', metavar='B', help='vocabulary to test on')
    parser.add_argument(
        '--config',
        default='eovseg_tiny_shapeworld',  # needs no download
        help='whose text tower [%(default)s]',
    )
    parser.add_argument('--checkpoint', help="weights of the config's model")
    parser.add_argument(
        '--no-similarity', action='store_true', help='compare names only'
    )
    parser.add_argument(
        '--top', type=int, default=10, help='pairs and names to list [%(default)s]'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='override config values',
    )
    args = parser.parse_args()
    if args.top < 1:
        parser.error('--top must be at least 1.')
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.analysis.vocabulary_report import (
    build_text_tower,
    find_overlap,
    rank_pairs,
)


def describe(letter, source, vocabulary):
    print(
        f'{letter}: {source}: {len(vocabulary)} classes, {sum(vocabulary.is_thing)} of '
        f'them things, {len(vocabulary.all_names)} names'
    )


def print_list(title, items, top):
    if items:
        rest = f', ... ({len(items)} in all)' if len(items) > top else ''
        print(f'{title}: {", ".join(map(str, items[:top]))}{rest}')


def print_overlap(train, test, top):
    overlap = find_overlap(train, test)
    parts = []
    for name, kind in (('things', True), ('stuff', False)):
        flags = [
            s for s, t in zip(overlap.seen, test.is_thing, strict=True) if t == kind
        ]
        parts.append(f'{sum(flags)} of {len(flags)} {name}')
    print(
        f'\nSeen in A: {sum(overlap.seen)} of {len(test)} classes of B '
        f'({", ".join(parts)})'
    )
    unseen = [n for n, s in zip(test.names, overlap.seen, strict=True) if not s]
    print_list('Unseen', unseen, top)
    texts = [f'{name!r} / {other!r}' for name, other in overlap.near_misses]
    print_list('Unseen for their spelling only (B / A)', texts, top)
    flags = [test.names[label] for label in overlap.other_flags]
    print_list('Thing in one and stuff in the other', flags, top)
    return overlap


def print_shared(letter, vocabulary, top):
    shared = vocabulary.shared_names()
    print(f'\nNames of {letter} that several classes share: {len(shared)}')
    for name, labels in list(shared.items())[:top]:
        print(f'  {name!r}: {", ".join(vocabulary.names[label] for label in labels)}')
    if len(shared) > top:
        print(f'  ... and {len(shared) - top} more')


def print_pairs(title, pairs, first, second):
    print(f'\n{title}')
    for pair in pairs:
        texts = []
        for vocabulary, label, name in zip(
            (first, second), pair.labels, pair.names, strict=True
        ):
            head = vocabulary.names[label]
            texts.append(head if head == name else f'{head} ({name})')
        print(f'  {pair.similarity:.3f}  {texts[0]} / {texts[1]}')


def print_similarity(args, train, test, seen):
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


def main():
    args = parse_args()
    with exit_on_error():
        train = Vocabulary.from_string(args.train)
        test = Vocabulary.from_string(args.test)
        describe('A', args.train, train)
        describe('B', args.test, test)
        overlap = print_overlap(train, test, args.top)
        print_shared('A', train, args.top)
        print_shared('B', test, args.top)
        if not args.no_similarity:
            print_similarity(args, train, test, overlap.seen)


if __name__ == '__main__':
    main()
