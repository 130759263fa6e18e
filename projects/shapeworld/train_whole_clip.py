"""Train a tiny CLIP as CLIPs are trained: on whole pictures and captions alone.

    python -m projects.shapeworld.train_whole_clip --work-dir work_dirs/whole

A caption names what a picture shows, or a part of it: "There is a red disc and a blue
cross on sand.", "a blue plus sign", "something red". Order, synonyms and what is left
out vary. There are no boxes, no crops and no regions, so the class token has to find
out by itself where things are. Pictures and captions are compared both ways; a caption
that is true of several pictures of a batch is right for all of them.

No picture is shown twice. Pictures start small, as --sizes says. The work folder gets
checkpoint.pth (the same command goes on where it was stopped), NAME.jsonl (the command
and the log) and NAME.safetensors, as train_clip makes them.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmovseg.shapeworld.drawing import MAX_ZOOM, STUFF, ShapeSample, draw_numbered
from mmovseg.vocabulary import Vocabulary

from .captions import Captions
from .train_clip import (
    Towers,
    append,
    build,
    export,
    make_optimizers,
    normalize,
    pretrain_text,
    restore,
    save,
)

FRAMES = ('{}', 'a photo of {}', 'a drawing of {}.', 'there is {} in the scene')
KEPT = 0.7  # how likely a caption keeps a name
HELD_OUT = 300  # pictures, each with the caption of all that it shows


def describe(
    rng: np.random.RandomState, labels: Sequence[int], names: Sequence[Sequence[str]]
) -> str:
    """Write a caption with all classes of a list, things first.

    Args:
        rng: Chooses order, synonyms and words around them.
        labels: Classes.
        names: Synonyms of every class.
    """
    chosen = [labels[index] for index in rng.permutation(len(labels))]
    words = {x: names[x][rng.randint(len(names[x]))] for x in chosen}
    things = [f'a {words[x]}' for x in chosen if x >= len(STUFF)]
    grounds = [words[x] for x in chosen if x < len(STUFF)]
    parts = [(', ', ' and ')[rng.randint(2)].join(x) for x in (things, grounds) if x]
    return FRAMES[rng.randint(len(FRAMES))].format(' on '.join(parts))


def shorten(rng: np.random.RandomState, labels: Sequence[int]) -> list[int]:
    """Leave some classes out, but not all."""
    kept = [x for x in labels if rng.uniform() < KEPT]
    return kept or [labels[rng.randint(len(labels))]]


def find_matches(wanted: Tensor, present: Tensor) -> Tensor:
    """Tell which pictures show all that a caption names.

    Args:
        wanted: Classes of the captions, ``[T, K]`` bool.
        present: Classes of the pictures, ``[B, K]`` bool.

    Returns:
        bool, ``[B, T]``.
    """
    return (~present).float() @ wanted.float().T == 0


def match_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """Compare every match with all that are none; the mean over rows with a match.

    Args:
        logits: ``[B, T]``.
        matches: bool, ``[B, T]``.
    """
    least = torch.finfo(logits.dtype).min
    others = logits.masked_fill(matches, least).logsumexp(1, keepdim=True)
    counts = matches.sum(1)
    losses = (F.softplus(others - logits) * matches).sum(1) / counts.clamp(min=1)
    return losses.sum() / (counts > 0).sum().clamp(min=1)


def mark(labels: Sequence[Sequence[int]], count: int) -> Tensor:
    """Return lists of classes as bool, ``[len(labels), count]``."""
    marked = torch.zeros(len(labels), count, dtype=torch.bool)
    for row, classes in zip(marked, labels, strict=True):
        row[list(classes)] = True
    return marked


def show(samples: Sequence[ShapeSample]) -> tuple[np.ndarray, list[list[int]]]:
    """Return images ``[B, H, W, 3]`` and the classes that each shows."""
    return (
        np.stack([sample.image for sample in samples]),
        [sorted(set(sample.labels)) for sample in samples],
    )


class Words:
    """Everything that is said of a batch.

    Args:
        vocabulary: K classes with synonyms.
        tokenizer: Of open_clip.
    """

    def __init__(self, vocabulary: Vocabulary, tokenizer) -> None:
        self.names, self.tokenizer = vocabulary.synonyms, tokenizer
        self.short = Captions(vocabulary, tokenizer)

    def draw(
        self, rng: np.random.RandomState, labels: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Draw a caption of every picture, and one of every class and half of a name.

        Returns:
            Tokens ``[T, context]``, and which captions are true of which pictures, bool
            ``[B, T]``.
        """
        said = [shorten(rng, x) for x in labels]
        texts = [describe(rng, x, self.names) for x in said]
        tokens = torch.cat([self.tokenizer(texts), self.short.draw(rng)])
        count = len(self.names)
        present = mark(labels, count)
        matches = [find_matches(mark(said, count), present), present]
        sizes = len(self.short.paints), len(self.short.shapes)
        for half, size in zip(self.short.halves.unbind(1), sizes, strict=True):
            # Of each paint or shape the classes that have it; textures have none.
            table = half[:, None] == torch.arange(size)  # [K, size]
            matches.append(present.float() @ table.float() > 0)
        return tokens, torch.cat(matches, 1)


class Stage(NamedTuple):
    """Which pictures a share of the steps shows."""

    side: int  # pixels
    max_things: int
    zoom: float  # factor of the things' sizes
    share: float


def pick_stage(stages: Sequence[Stage], share: float) -> Stage:
    """Return the stage that runs when a share of all steps is done."""
    for stage in stages:
        if share < stage.share:
            return stage
        share -= stage.share
    return stages[-1]


def train_step(towers: Towers, words: Words, args, step: int) -> Tensor:
    """Return the loss of a batch that depends on seed and step alone."""
    rng = np.random.RandomState([args.seed, step])
    *look, _ = pick_stage(args.stages, step / args.steps)
    first = step * args.batch_size
    samples = [
        draw_numbered(args.seed, 'clip', first + i, *look)
        for i in range(args.batch_size)
    ]
    pictures, labels = show(samples)
    images = normalize(pictures, rng.uniform(), rng.uniform(0.9, 1.1))
    tokens, matches = words.draw(rng, labels)
    logits = towers(towers.encode_image(images), towers.encode_text(tokens))
    return match_loss(logits, matches) + match_loss(logits.T, matches.T)


@torch.no_grad()
def measure(towers: Towers, words: Words, side: int) -> dict[str, float]:
    """Name held-out pictures among all their captions, and tell what they show.

    Returns:
        Shares: of pictures whose own caption (or one that is as true) is nearest; of
        classes, by kind, found among the n nearest names of a picture with n classes.
    """
    towers.eval()
    samples = [draw_numbered(0, 'clip_val', i, 192) for i in range(HELD_OUT)]
    pictures, labels = show(samples)
    images = np.stack([cv2.resize(x, (side, side)) for x in pictures])
    rng = np.random.RandomState(0)
    texts = [describe(rng, x, words.names) for x in labels]
    embeds = torch.cat(
        [towers.encode_image(normalize(x)) for x in np.array_split(images, 10)]
    )
    present = mark(labels, len(words.names))
    text = towers.encode_text(words.tokenizer(texts))
    nearest = (embeds @ text.T).argmax(1)
    right = (present[nearest] == present).all(1)
    names = embeds @ towers.encode_text(words.short.plain).T
    towers.train()
    kinds: dict[str, list[bool]] = dict(stuff=[], things=[])
    for row, classes in zip(names, labels, strict=True):
        found = set(row.topk(len(classes)).indices.tolist())
        for label in classes:
            kinds['stuff' if label < len(STUFF) else 'things'].append(label in found)
    return dict(captions=round(float(right.float().mean()), 4)) | {
        kind: round(float(np.mean(x)), 4) for kind, x in kinds.items()
    }


def train(args: argparse.Namespace) -> None:
    """Train, or go on."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    last, log = args.work_dir / 'checkpoint.pth', args.work_dir / f'{args.model}.jsonl'
    towers = build(args).train().requires_grad_(True)  # also a given text tower
    words = Words(Vocabulary.load('shapeworld'), open_clip.get_tokenizer(args.model))
    optimizers = make_optimizers(towers, args)
    parts = dict(towers=towers, **optimizers)
    before = dict(step=0, seconds=0.0)
    if last.exists():
        before = restore(last, parts)
        print(f'{last} has {before["step"]} steps. The rest has the options given now.')
    else:
        log.unlink(missing_ok=True)
        if args.text_from is None:
            pretrain_text(towers, words.short, args)
    command = ' '.join(['train_whole_clip', *sys.argv[1:]])
    append(log, {'command': command, 'first_step': before['step']})
    start, losses = time.perf_counter() - before['seconds'], []
    for step in range(before['step'], args.steps):
        loss = train_step(towers, words, args, step)
        towers.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        for part in optimizers.values():  # the schedules last
            part.step()
        losses.append(loss.item())
        done = step + 1
        if done % args.log_every == 0 or done == args.steps:
            now = dict(step=done, seconds=round(time.perf_counter() - start, 1))
            side = pick_stage(args.stages, step / args.steps).side
            found = measure(towers, words, side)
            row = {**now, 'side': side, 'loss': round(float(np.mean(losses)), 4)}
            append(log, row | found)
            print(row | found, flush=True)
            losses.clear()
            save(last, now, parts)
    export(towers, args.work_dir / f'{args.model}.safetensors')


def read_stages(text: str) -> list[Stage]:
    """Read ``64:1:1.75=0.5,96:6:1=0.5``: sides, things, zooms and shares."""
    stages = []
    for part in text.split(','):
        found = re.fullmatch(r'(\d+):(\d+):([\d.]+)=([\d.]+)', part)
        try:
            side, things, zoom, share = found.groups() if found else ()
            stage = Stage(int(side), int(things), float(zoom), float(share))
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'a stage is SIDE:THINGS:ZOOM=SHARE, as in 64:1:1.75=0.5, got {part!r}'
            ) from None
        if stage.side < 32 or stage.side % 8 or not stage.max_things:
            raise argparse.ArgumentTypeError(
                f'a side is a multiple of 8, at least 32, with 1 thing, got {part!r}'
            )
        if not 1 <= stage.zoom <= MAX_ZOOM:
            raise argparse.ArgumentTypeError(
                f'a zoom is from 1 to {MAX_ZOOM}, got {part!r}'
            )
        stages.append(stage)
    if abs(sum(stage.share for stage in stages) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f'the shares sum up to 1, got {text!r}')
    return stages


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='tiny-vit-whole', help='[%(default)s]')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/whole'))
    parser.add_argument('--text-from', type=Path, help='file with a text tower')
    parser.add_argument('--image-from', type=Path, help='file with an image tower')
    parser.add_argument('--text-steps', type=int, default=300, help='of text alone')
    parser.add_argument('--steps', type=int, default=4000)
    parser.add_argument('--batch-size', type=int, default=64, help='pictures')
    parser.add_argument(
        '--stages',
        type=read_stages,
        default='64:1:1.75=0.3,64:3:1.3=0.3,96:6:1=0.4',
        help='sides of pictures, most things in one, zooms, shares [%(default)s]',
    )
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--weight-decay', type=float, default=0.05)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--log-every', type=int, default=100, help='steps')
    args = parser.parse_args(argv)
    for name in ('steps', 'batch_size', 'log_every'):
        if getattr(args, name) < 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least 1, got {getattr(args, name)}')
    return args


if __name__ == '__main__':
    train(parse_args())
