"""Choose the margin of examples on seen classes alone.

    python -m projects.shapeworld.choose_margin eovseg_tiny_shapeworld tiny-eovseg

Every fifth seen class stands in for an unseen one: the ensemble takes it for unseen,
and other pictures give examples of it. It has its name, which works, and then a word
without meaning. Pictures, examples and names are those of seen classes, and no picture
is in a data set. For every margin and number of examples the table, in Markdown, has
the panoptic quality of stand-ins and of all others. The margin is chosen that has the
best harmonic mean of the two, in the mean over names, words and numbers of examples.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from mmovseg.apis import init_model
from mmovseg.command_line import exit_on_error, pick_device
from mmovseg.evaluation.label_maps import harmonic_mean
from mmovseg.models.examples import MARGIN, move_rows
from mmovseg.models.segmentors import EOVSeg
from mmovseg.progress import Progress
from mmovseg.shapeworld.drawing import SEEN, ShapeSample
from mmovseg.vocabulary import Vocabulary

from .calibrate_void import check, draw, extract, look, measure
from .evaluate_examples import draw_examples

STAND_INS = SEEN[2::5]
WORDS = (  # without meaning, one per stand-in
    *('blorp', 'zundle', 'quimfa', 'trelk', 'vashti', 'gromble', 'pixnar'),
    *('dovvle', 'yustic'),
)
MARGINS = (0.0, 0.05, 0.1, 0.2, 0.4)
COUNTS = (1, 5, 20)


class Tried(NamedTuple):
    """What a margin gave, in percent."""

    named: bool
    margin: float
    count: int
    stand_ins: float
    others: float

    @property
    def quality(self) -> float:
        """The harmonic mean of both."""
        return harmonic_mean(self.stand_ins, self.others)


@torch.no_grad()
def try_margins(
    model: EOVSeg,
    pictures: Sequence[ShapeSample],
    examples: Vocabulary,
    margins: Sequence[float] = MARGINS,
    counts: Sequence[int] = COUNTS,
    *,
    named: bool = True,
) -> list[Tried]:
    """Measure every margin with every number of examples, and without examples.

    Args:
        model: With an ensemble; it gets the classes of the examples.
        pictures: Of seen classes.
        examples: The seen classes, with as many examples of stand-ins as are needed.
        margins: Leads in cosine; see :func:`move_rows`.
        counts: Numbers of examples of each stand-in.
        named: Whether stand-ins have their names; else :data:`WORDS`.
    """
    synonyms = list(examples.synonyms)
    if not named:
        for name, word in zip(STAND_INS, WORDS, strict=True):
            synonyms[SEEN.index(name)] = (word,)
    model.set_vocabulary(Vocabulary(tuple(synonyms), examples.is_thing))
    text = model.encode_vocabulary(model.vocabulary)
    stands = np.array([name in STAND_INS for name in SEEN])
    text = text._replace(seen=torch.from_numpy(~stands).to(text.weight.device))
    seen = [[model.see_example(x, text) for x in group] for group in examples.examples]
    features = [extract(model, picture) for picture in pictures]
    tries = [(0.0, 0), *itertools.product(margins, counts)]
    found = []
    with Progress(len(tries) * len(pictures), 'Margins', 'picture') as progress:
        for margin, count in tries:
            some = [group[:count] for group in seen]
            rows = move_rows(text.weight, text.class_ids, some, margin)
            moved = text._replace(weight=rows[0], clip=rows[1])
            looks = []
            for picture, own in zip(pictures, features, strict=True):
                looks.append(look(model, moved, picture, own))
                progress.update()
            quality = measure(model, moved, looks)
            means = [float(np.nanmean(quality[x])) for x in (stands, ~stands)]
            found.append(Tried(named, margin, count, *means))
    return found


def draw_stand_ins(size: int, seed: int, count: int = max(COUNTS)) -> Vocabulary:
    """Return the seen classes with examples of the stand-ins, on other drawings."""
    drawn = draw_examples(STAND_INS, count, seed=seed, size=size, split='train')
    vocabulary = Vocabulary.load('shapeworld_seen')
    for name, pairs in drawn.items():
        vocabulary = vocabulary.add_examples(name, pairs)
    return vocabulary


def choose(tried: Sequence[Tried]) -> float:
    """Return the margin of the best quality, in the mean over all that was tried."""
    by_margin: dict[float, list[float]] = {}
    for row in tried:
        if row.count:
            by_margin.setdefault(row.margin, []).append(row.quality)
    return max(by_margin, key=lambda margin: float(np.mean(by_margin[margin])))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='of an EOV-Seg, for ShapeWorld')
    parser.add_argument('checkpoint', help='file, tiny or tiny-eovseg')
    parser.add_argument('--num-pictures', type=int, default=100)
    parser.add_argument('--image-size', type=int, default=192)
    parser.add_argument('--seed', type=int, default=23, help='of the pictures [23]')
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    args = parser.parse_args(argv)
    if args.num_pictures < 1:
        parser.error(f'--num-pictures must be at least 1, got {args.num_pictures}.')
    if args.image_size < 32 or args.image_size % 32:
        parser.error(f'--image-size is a multiple of 32, got {args.image_size}.')
    args.device = pick_device(args.device)
    return args


def main(argv: list[str] | None = None) -> float:
    """Measure, print and return the margin that is chosen."""
    args = parse_args(argv)
    with exit_on_error(TypeError):
        model = init_model(args.config, args.checkpoint, args.device)
        check(model, args.config)
        examples = draw_stand_ins(args.image_size, args.seed + 1)
        pictures, tried = draw(args), []
        for named in (True, False):
            tried += try_margins(
                model, pictures, examples, MARGINS, COUNTS, named=named
            )
    head = ['stand-ins', 'margin', 'examples', 'PQ stand-ins', 'PQ others', 'harmonic']
    print(f'| {" | ".join(head)} |')
    print('|---|--:|--:|--:|--:|--:|')
    for x in tried:
        name = f'{x.margin:g}' if x.count else ''
        values = f'{x.stand_ins:.1f} | {x.others:.1f} | {x.quality:.1f}'
        kind = 'named' if x.named else 'a word'
        print(f'| {kind} | {name} | {x.count} | {values} |')
    chosen = choose(tried)
    print(f'\nChosen: {chosen:g}; the default of mix_rows is {MARGIN:g}.')
    return chosen


if __name__ == '__main__':
    main()
