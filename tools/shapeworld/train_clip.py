"""Train a tiny CLIP on captions of drawn pictures; minutes on one core.

    python tools/shapeworld/train_clip.py tiny-rn --work-dir work_dirs/clip

Image and text tower of the model (a JSON file of open_clip, such as those of
mmovseg/models/tiny_clip) learn together: crops of pictures of the whole ShapeWorld, the
classes that segmentation never sees among them, each named by a caption like "There is
a small red disc in the scene.", or by a half of its name ("something red", "a disc").
A crop is compared with one caption of every class (cross-entropy), so its loss does not
depend on the batch. --text-from takes the text tower of a trained CLIP, which stays as
it is: both then share one space; --image-from goes on with an image tower. In some
batches four crops are one picture, whose quarters are embedded as segmentation embeds
regions: what is next to a region must not matter for its name. (Not for ConvNeXts.)

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
from mmovseg.datasets.shapeworld_captions import Captions
from mmovseg.datasets.shapeworld_crops import CropSource, draw_pictures
from mmovseg.models.backbones.clip_conv_backbone import attention_pool
from mmovseg.models.clip import register_tiny_models, resize_position_embedding
from mmovseg.vocabulary import Vocabulary

# CLIP's own statistics, which demo configs and open_clip's transforms use, and
# ImageNet's, which others do: every batch is normalised by something in between.
CLIP_MEAN, CLIP_STD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)
NET_MEAN, NET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# Sides of a batch's crops as multiples of the model's image size, and how often. Larger
# ones come in smaller batches, at equal cost.
SCALES = {1.0: 0.7, 1.5: 0.15, 2.0: 0.15}


class _Encoder(nn.Module):
    """A method of a CLIP as ``forward``, the method that functional_call calls."""

    def __init__(self, clip: nn.Module, method: str) -> None:
        super().__init__()
        self.clip, self.method = clip, method

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.clip, self.method)(x, normalize=True)


class Towers(nn.Module):
    """A CLIP for short captions and for images of any size.

    Args:
        clip: Of open_clip, with a causal text tower.
    """

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Encode tokens ``[K, context]`` without their padding; ``[K, D]``."""
        length = int(tokens.argmax(-1).max()) + 1  # the end has the largest number
        replaced = {
            'clip.positional_embedding': self.clip.positional_embedding[:length],
            'clip.attn_mask': self.clip.attn_mask[:length, :length],
        }
        encoder = _Encoder(self.clip, 'encode_text')
        return functional_call(encoder, replaced, (tokens[:, :length],))

    def encode_image(self, images: Tensor) -> Tensor:
        """Encode images ``[B, 3, H, W]``, positions resized to them; ``[B, D]``."""
        visual, replaced = self.clip.visual, {}
        for part, stride in (
            ('', getattr(visual, 'patch_size', [0])[0]),
            ('attnpool.', 32),
        ):
            name = f'{part}positional_embedding'
            table = dict(visual.named_parameters()).get(name)
            if table is not None:
                grid = images.shape[-2] // stride, images.shape[-1] // stride
                table = resize_position_embedding(table, grid, mode='bicubic')
                replaced[f'clip.visual.{name}'] = table
        encoder = _Encoder(self.clip, 'encode_image')
        return functional_call(encoder, replaced, (images,))

    def encode_quarters(self, images: Tensor) -> Tensor:
        """Encode the quarters of images as segmentation does regions; ``[4 B, D]``.

        Args:
            images: ``[B, 3, 2 S, 2 S]``.

        Returns:
            Unit vectors of upper left, upper right, lower left, lower right, by image.
        """
        visual = self.clip.visual
        if hasattr(visual, 'attnpool'):
            output = visual.forward_intermediates(
                images, indices=[4], intermediates_only=True
            )
            features = output['image_intermediates'][0]  # [B, C, h, w]
            size = features.shape[-2:]
            masks = F.interpolate(torch.eye(4).view(1, 4, 2, 2), size=size) > 0
            masks = masks.expand(len(images), -1, -1, -1)
            quarters = attention_pool(visual.attnpool, features, masks)
            return F.normalize(quarters.flatten(0, 1), dim=-1)
        grid = [size // visual.patch_size[0] for size in images.shape[-2:]]
        table = visual.positional_embedding
        table = resize_position_embedding(table, tuple(grid), mode='bicubic')
        replaced = {'positional_embedding': table}
        visual.output_tokens = True
        _, tokens = functional_call(visual, replaced, (images,))
        visual.output_tokens = False
        tokens = tokens.transpose(1, 2).unflatten(2, grid)  # [B, C, h, w]
        quarters = F.adaptive_avg_pool2d(tokens, 2).flatten(2).transpose(1, 2)
        return F.normalize((quarters @ visual.proj).flatten(0, 1), dim=-1)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return logits ``[B, K]`` of unit vectors ``[B, D]`` and ``[K, D]``."""
        return self.clip.logit_scale.exp().clamp(max=100) * image @ text.T


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
    text = towers.encode_text(captions.plain)
    found = [
        towers(towers.encode_image(normalise(chunk)), text).argmax(-1)
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


def load_tower(clip: nn.Module, path: Path, *, visual: bool) -> None:
    """Load the image or the text tower of a file into a CLIP.

    Raises:
        ValueError: If the tower in the file is another one.
    """
    wanted, found = (
        {name: x for name, x in state.items() if name.startswith('visual.') == visual}
        for state in (clip.state_dict(), load_file(path))
    )
    if {k: v.shape for k, v in wanted.items()} != {
        k: v.shape for k, v in found.items()
    }:
        tower = 'image' if visual else 'text'
        raise ValueError(f'{path} has another {tower} tower.')
    clip.load_state_dict(found, strict=False)


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
        load_tower(clip, args.text_from, visual=False)
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.startswith('visual.'))
    if args.image_from is not None:
        load_tower(clip, args.image_from, visual=True)
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


def pretrain_text(towers: Towers, captions: Captions, args) -> None:
    """Let captions of one class agree, and those of others not.

    Without it the image tower has no targets that are apart, and learns colours alone
    for a long time.
    """
    clip, labels = towers.clip, torch.arange(len(captions.plain))
    tower = [p for n, p in clip.named_parameters() if not n.startswith('visual.')]
    optimizer = torch.optim.AdamW(tower, lr=2e-3, betas=(0.9, 0.98))
    for step in range(args.text_steps):
        rng = np.random.RandomState([args.seed, step, 1])
        tokens = torch.cat([captions.draw(rng), captions.draw(rng)[: len(labels)]])
        encoded = towers.encode_text(tokens)
        text, names = encoded[: -len(labels)], encoded[-len(labels) :]
        loss = captions.loss(towers(names, text), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def image_size(towers: Towers) -> int:
    """Return the side of the images that the model is made for, in pixels."""
    size = towers.clip.visual.image_size
    return size if isinstance(size, int) else size[0]


def train_step(
    towers: Towers, source: CropSource, captions: Captions, args, step: int
) -> Tensor:
    """Return the loss of a batch that depends on seed and step alone."""
    rng = np.random.RandomState([args.seed, step])
    scale, size = 1.0, image_size(towers)
    collage = rng.uniform() < args.collages
    if not collage:
        scale = rng.choice(list(SCALES), p=list(SCALES.values()))
    images, labels = source.draw(
        rng, int(args.batch_size / scale**2), int(size * scale)
    )
    if collage:
        images = images.reshape(-1, 2, 2, size, size, 3).transpose(0, 1, 3, 2, 4, 5)
        images = np.ascontiguousarray(images.reshape(-1, 2 * size, 2 * size, 3))
    images = normalise(images, rng.uniform(), rng.uniform(0.9, 1.1))
    text = towers.encode_text(captions.draw(rng))
    encode = towers.encode_quarters if collage else towers.encode_image
    logits = towers(encode(images), text)
    return captions.loss(logits, torch.from_numpy(labels))


def save(path: Path, progress: dict, parts: dict) -> None:
    """Write a checkpoint, whole or not at all."""
    draft = path.with_suffix('.tmp')
    states = {name: part.state_dict() for name, part in parts.items()}
    torch.save({'progress': progress, **states}, draft)
    draft.replace(path)


def restore(path: Path, parts: dict) -> dict:
    """Load a checkpoint into its parts; return step and seconds."""
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state['progress']


def append(path: Path, entry: dict) -> None:
    """Add a line of JSON."""
    with path.open('a') as file:
        file.write(json.dumps(entry) + '\n')


def export(towers: Towers, path: Path) -> None:
    """Write all weights in half precision, as open_clip reads them."""
    state = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value
        for name, value in towers.clip.state_dict().items()
    }
    save_file(state, path)


def draw_data(args: argparse.Namespace, size: int) -> tuple[CropSource, tuple]:
    """Draw what to learn from, and crops of other pictures to measure on."""
    common = dict(seed=args.seed, num_workers=args.workers)
    source = CropSource(draw_pictures('clip', args.num_pictures, **common))
    held_out = CropSource(draw_pictures('clip_val', args.num_held_out, **common))
    images, labels = held_out.draw(np.random.RandomState(0), args.num_crops, size)
    return source, (images, torch.from_numpy(labels))


def train(args: argparse.Namespace) -> None:
    """Train, or go on."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    last, log = args.work_dir / 'checkpoint.pth', args.work_dir / f'{args.model}.jsonl'
    towers = build(args).train()
    captions = Captions(
        Vocabulary.load('shapeworld'), open_clip.get_tokenizer(args.model)
    )
    optimizer, schedule = make_optimizer(towers, args)
    parts = dict(towers=towers, optimizer=optimizer, schedule=schedule)
    before = dict(step=0, seconds=0.0)
    if last.exists():
        before = restore(last, parts)
    else:
        log.unlink(missing_ok=True)
        if args.text_from is None:
            pretrain_text(towers, captions, args)
    shown = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    command = ' '.join(['train_clip.py', *sys.argv[1:]])
    append(log, {'command': command, 'first_step': before['step'], **shown})
    source, held_out = draw_data(args, image_size(towers))
    progress = ProgressBar(args.steps - before['step'])
    start, losses = time.perf_counter() - before['seconds'], []
    for step in range(before['step'], args.steps):
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
            now = dict(step=done, seconds=round(time.perf_counter() - start, 1))
            found = measure(towers, captions, *held_out)
            append(log, {**now, 'loss': round(float(np.mean(losses)), 4), **found})
            print(f' loss {np.mean(losses):.3f}, {found}', flush=True)
            losses.clear()
            save(last, now, parts)
    export(towers, args.work_dir / f'{args.model}.safetensors')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', help='name of a JSON file of open_clip')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/clip'))
    parser.add_argument('--text-from', type=Path, help='file with the text tower')
    parser.add_argument('--image-from', type=Path, help='file with the image tower')
    parser.add_argument('--text-steps', type=int, default=300, help='of text alone')
    parser.add_argument('--steps', type=int, default=6000)
    parser.add_argument('--batch-size', type=int, default=64, help='a multiple of 4')
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--weight-decay', type=float, default=0.05)
    parser.add_argument(
        '--collages', type=float, default=0.4, help='share of batches of collages'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-pictures', type=int, default=5000)
    parser.add_argument('--num-held-out', type=int, default=500)
    parser.add_argument('--num-crops', type=int, default=1000, help='to measure on')
    parser.add_argument('--log-every', type=int, default=250, help='steps')
    parser.add_argument('--workers', type=int, default=1, help='that draw pictures')
    args = parser.parse_args(argv)
    if args.batch_size % 4 or args.batch_size < 4:
        parser.error(f'--batch-size must be a multiple of 4, got {args.batch_size}')
    return args


if __name__ == '__main__':
    train(parse_args())
