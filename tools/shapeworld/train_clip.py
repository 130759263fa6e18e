"""Train a tiny CLIP on captions of drawn pictures; minutes on one core.

    python tools/shapeworld/train_clip.py tiny-convnext --work-dir work_dirs/clip

Image and text tower of the model (a JSON file of open_clip, such as those of
mmovseg/models/tiny_clip) learn together: crops of pictures of the whole ShapeWorld, the
classes that segmentation never sees among them, each named by a caption like "There is
a small red disc in the scene.", or by a half of its name ("something red", "a disc").
A crop is compared with one caption of every class (cross-entropy), so its loss does not
depend on the batch. --text-from takes the text tower of a trained CLIP, which stays as
it is: both then share one space.

The work folder gets checkpoint.pth (start the same command again to go on where it was
stopped, with the same result), NAME.jsonl (the command, the log, the accuracy) and
NAME.safetensors (half precision; what mmovseg/models/tiny_clip ships).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from mmengine.utils import ProgressBar
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

from mmovseg.datasets.shapeworld import SOLID, STUFF
from mmovseg.datasets.shapeworld_crops import CropSource, draw_pictures
from mmovseg.models.clip import register_tiny_models, resize_position_embedding
from mmovseg.vocabulary import Vocabulary, get_templates

# CLIP's own statistics, which demo configs and open_clip's transforms use, and
# ImageNet's, which others do: every batch is normalised by something in between.
CLIP_MEAN, CLIP_STD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)
NET_MEAN, NET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# What captions say beside the templates that segmentation asks with.
CLASS_TEMPLATES = (
    *get_templates('vild'),
    *('{}', 'a {}', 'the {}', 'a drawing of a {}.', 'a picture of a {}'),
)
PAINT_TEMPLATES = ('something {}', 'a {} shape', '{}', 'a {} thing')
SHAPE_TEMPLATES = ('a {}', '{}', 'the shape of a {}', 'a photo of a {}.')
# Sides of a batch's crops as multiples of the model's image size, and how often. Larger
# ones come in smaller batches, at equal cost.
SCALES = {1.0: 0.6, 1.5: 0.2, 2.0: 0.2}


class Captions:
    """All captions as tokens, one of every group at a time.

    Groups are the K classes, then colours and patterns, then shapes.

    Args:
        vocabulary: K classes with synonyms.
        tokenizer: Of open_clip.
    """

    def __init__(self, vocabulary: Vocabulary, tokenizer) -> None:
        self.plain = tokenizer(list(vocabulary.names))  # [K, context]
        halves = [name.split() for name in vocabulary.names[len(STUFF) :]]
        self.paints, self.shapes = (
            list(dict.fromkeys(words)) for words in zip(*halves, strict=True)
        )
        groups = [
            *((names, CLASS_TEMPLATES) for names in vocabulary.synonyms),
            *(((name,), PAINT_TEMPLATES) for name in self.paints),
            *(((name,), SHAPE_TEMPLATES) for name in self.shapes),
        ]
        self.tokens = [
            tokenizer([t.replace('{}', name) for name in names for t in templates])
            for names, templates in groups
        ]
        # Paint and shape of every class; -100, which losses ignore, for textures.
        table = [(self.paints.index(a), self.shapes.index(b)) for a, b in halves]
        self.halves = torch.tensor([(-100, -100)] * len(STUFF) + table)  # [K, 2]

    def draw(self, rng: np.random.RandomState) -> Tensor:
        """Return the tokens of one caption per group, ``[K + paints + shapes, L]``."""
        return torch.stack([x[rng.randint(len(x))] for x in self.tokens])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of whole names and, at half weight, of halves.

        Args:
            logits: Of the drawn captions, ``[B, K + paints + shapes]``.
            labels: Classes, ``[B]``.
        """
        sizes = [len(self.plain), len(self.paints), len(self.shapes)]
        names, paints, shapes = logits.split(sizes, dim=1)
        paint, shape = self.halves[labels].unbind(1)
        halves = F.cross_entropy(paints, paint) + F.cross_entropy(shapes, shape)
        return F.cross_entropy(names, labels) + 0.5 * halves


class Towers(nn.Module):
    """A CLIP as a function of images of any size and short captions."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Return logits of captions, ``[B, K]``."""
        image = self.clip.encode_image(images, normalize=True)
        text = self.clip.encode_text(tokens, normalize=True)
        return self.clip.logit_scale.exp().clamp(max=100) * image @ text.T


def compute_logits(towers: Towers, images: Tensor, tokens: Tensor) -> Tensor:
    """Cut what is padding from captions, and fit a ViT's positions to the images."""
    clip = towers.clip
    length = int(tokens.argmax(-1).max()) + 1  # the end has the largest number
    replaced = {
        'clip.positional_embedding': clip.positional_embedding[:length],
        'clip.attn_mask': clip.attn_mask[:length, :length],
    }
    for name, stride in (
        (
            'clip.visual.positional_embedding',
            getattr(clip.visual, 'patch_size', [0])[0],
        ),
        ('clip.visual.attnpool.positional_embedding', 32),
    ):
        table = dict(towers.named_parameters()).get(name)
        if table is not None:
            grid = images.shape[-2] // stride, images.shape[-1] // stride
            replaced[name] = resize_position_embedding(table, grid, mode='bicubic')
    return functional_call(towers, replaced, (images, tokens[:, :length]))


def normalise(images: np.ndarray, share: float = 0.0, gain: float = 1.0) -> Tensor:
    """Turn RGB ``[B, H, W, 3]`` uint8 into ``[B, 3, H, W]``.

    Args:
        images: The images.
        share: 0 for CLIP's statistics, 1 for ImageNet's.
        gain: Factor of the brightness.
    """
    mean = torch.tensor(CLIP_MEAN).lerp(torch.tensor(NET_MEAN), share)
    std = torch.tensor(CLIP_STD).lerp(torch.tensor(NET_STD), share)
    scaled = (torch.from_numpy(images).float() * gain - mean) / std
    return scaled.permute(0, 3, 1, 2)  # channels last


@torch.no_grad()
def measure(towers: Towers, captions: Captions, images: np.ndarray, labels: Tensor):
    """Return the shares of crops named rightly among all classes, by kind."""
    towers.eval()
    found = [
        compute_logits(towers, normalise(chunk), captions.plain).argmax(-1)
        for chunk in np.array_split(images, math.ceil(len(images) / 128))
    ]
    towers.train()
    right = torch.cat(found) == labels
    kinds = torch.bucketize(
        labels, torch.tensor([len(STUFF), len(STUFF) + len(SOLID)]), right=True
    )
    names = ('stuff', 'solid', 'patterned')
    return {
        name: round(float(right[kinds == kind].float().mean()), 4)
        for kind, name in enumerate(names)
    }


def build(args: argparse.Namespace) -> Towers:
    """Build the model from random weights, or with the text tower of another."""
    register_tiny_models()
    torch.manual_seed(args.seed)
    clip = open_clip.create_model(args.model)
    for name, parameter in clip.visual.named_parameters():
        if name.endswith('.gamma'):
            # ConvNeXt starts its blocks at 1e-6; few steps cannot make up for that.
            nn.init.constant_(parameter, 0.5)
    if args.text_from is not None:
        text = {
            name: value.float()
            for name, value in load_file(args.text_from).items()
            if not name.startswith('visual.')
        }
        missing, unexpected = clip.load_state_dict(text, strict=False)
        if unexpected or any(not name.startswith('visual.') for name in missing):
            raise ValueError(f'{args.text_from} has another text tower.')
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.startswith('visual.'))
    return Towers(clip).to(memory_format=torch.channels_last)  # faster


def make_optimizer(towers: Towers, args: argparse.Namespace):
    """Make AdamW (no decay for vectors) and its schedule."""
    groups: dict[bool, list] = {True: [], False: []}
    for name, parameter in towers.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and 'embedding' not in name
            groups[decays].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            dict(params=groups[True], weight_decay=args.weight_decay),
            dict(params=groups[False], weight_decay=0.0),
        ],
        lr=args.lr,
        betas=(0.9, 0.98),
    )
    warm_up = min(200, args.steps // 5 + 1)

    def factor(step: int) -> float:
        done = max(step - warm_up, 0) / max(args.steps - warm_up, 1)
        return min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def image_size(towers: Towers) -> int:
    """Return the side of the images that the model is made for, in pixels."""
    size = towers.clip.visual.image_size
    return size if isinstance(size, int) else size[0]


def train_step(
    towers: Towers, source: CropSource, captions: Captions, args, step: int
) -> Tensor:
    """Return the loss of a batch that depends on seed and step alone."""
    rng = np.random.RandomState([args.seed, step])
    scale = rng.choice(list(SCALES), p=list(SCALES.values()))
    images, labels = source.draw(
        rng, int(args.batch_size / scale**2), int(image_size(towers) * scale)
    )
    images = normalise(images, rng.uniform(), rng.uniform(0.9, 1.1))
    logits = compute_logits(towers, images, captions.draw(rng))
    return captions.loss(logits, torch.from_numpy(labels))


def save_atomically(state: dict, path: Path) -> None:
    draft = path.with_suffix('.tmp')
    torch.save(state, draft)
    draft.replace(path)


def export(towers: Towers, path: Path) -> None:
    """Write all weights in half precision, as open_clip reads them."""
    state = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value
        for name, value in towers.clip.state_dict().items()
    }
    save_file(state, path)


def train(args: argparse.Namespace) -> dict:
    """Train, or go on; return the last accuracy."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    last, log = args.work_dir / 'checkpoint.pth', args.work_dir / f'{args.model}.jsonl'
    towers = build(args).train()
    optimizer, schedule = make_optimizer(towers, args)
    first, seconds = 0, 0.0
    if last.exists():
        state = torch.load(last, weights_only=True)
        towers.load_state_dict(state['towers'])
        optimizer.load_state_dict(state['optimizer'])
        schedule.load_state_dict(state['schedule'])
        first, seconds = state['step'], state['seconds']
        print(f'Going on at step {first}.')
    vocabulary = Vocabulary.load('shapeworld')
    captions = Captions(vocabulary, open_clip.get_tokenizer(args.model))
    common = dict(seed=args.seed, num_workers=args.workers)
    source = CropSource(draw_pictures('clip', args.num_pictures, **common))
    held_out = CropSource(draw_pictures('clip_val', args.num_held_out, **common))
    images, labels = held_out.draw(
        np.random.RandomState(0), args.num_crops, image_size(towers)
    )
    labels = torch.from_numpy(labels)

    def write(entry: dict) -> None:
        with log.open('a') as file:
            file.write(json.dumps(entry) + '\n')

    if first == 0:
        log.unlink(missing_ok=True)
        shown = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
        write({'command': ' '.join(['train_clip.py', *sys.argv[1:]]), **shown})
    progress = ProgressBar(args.steps - first) if first < args.steps else None
    start, losses, accuracy = time.perf_counter() - seconds, [], {}
    for step in range(first, args.steps):
        loss = train_step(towers, source, captions, args, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        done = step + 1
        if done % args.log_every == 0 or done == args.steps:
            progress.update(len(losses))
            seconds = time.perf_counter() - start
            accuracy = measure(towers, captions, images, labels)
            entry = dict(step=done, seconds=round(seconds), loss=np.mean(losses))
            write({**entry, 'loss': round(float(np.mean(losses)), 4), **accuracy})
            print(f' {entry["loss"]:.3f} {accuracy}', flush=True)
            losses.clear()
            state = dict(step=done, seconds=seconds, towers=towers.state_dict())
            state |= dict(optimizer=optimizer.state_dict())
            save_atomically({**state, 'schedule': schedule.state_dict()}, last)
    export(towers, args.work_dir / f'{args.model}.safetensors')
    return accuracy


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='name of a JSON file of open_clip')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/clip'))
    parser.add_argument('--text-from', type=Path, help='file with the text tower')
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--lr', type=float, default=2e-3)
    parser.add_argument('--weight-decay', type=float, default=0.05)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-pictures', type=int, default=5000)
    parser.add_argument('--num-held-out', type=int, default=500)
    parser.add_argument('--num-crops', type=int, default=1000, help='to measure on')
    parser.add_argument('--log-every', type=int, default=250, help='steps')
    parser.add_argument('--workers', type=int, default=1, help='that draw pictures')
    return parser.parse_args(argv)


if __name__ == '__main__':
    train(parse_args())
