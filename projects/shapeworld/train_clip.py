"""Train a tiny CLIP on captions of drawn pictures; minutes on one core.

    python -m projects.shapeworld.train_clip tiny-rn --work-dir work_dirs/clip

Image and text tower of the model (a JSON file of open_clip, such as those of
mmovseg/models/tiny_clip) learn together: crops of pictures of the whole ShapeWorld, the
classes that segmentation never sees among them, each named by a caption like "There is
a small red disc in the scene.", or by a half of its name ("something red", "a disc").
A crop is compared with one caption of every class (cross-entropy), so its loss does not
depend on the batch. --text-from takes the text tower of a trained CLIP, which stays as
it is: both then share one space; --image-from goes on with an image tower. In other
batches whole pictures are shown, and what lies in the boxes of things and in squares of
textures is embedded as segmentation embeds regions: what is next to a region must not
matter for its name. (Not for ConvNeXts.)

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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.pos_embed import get_2d_sincos_pos_embed
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.func import functional_call

from mmovseg.fileio import atomic_path
from mmovseg.models.backbones.clip_conv_backbone import attention_pool
from mmovseg.models.clip import register_tiny_models, resize_position_embedding
from mmovseg.shapeworld.drawing import SOLID, STUFF
from mmovseg.vocabulary import Vocabulary

from .captions import Captions
from .crops import CropSource, draw_pictures
from .muon import Muon

# CLIP's own statistics, which demo configs and open_clip's transforms use, and
# ImageNet's, which others do: every batch is normalized by something in between.
CLIP_MEAN, CLIP_STD = (122.771, 116.746, 104.094), (68.501, 66.632, 70.323)
NET_MEAN, NET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# Sides of a batch's images as multiples of the model's image size, and how often: of
# crops and of whole pictures. Larger ones come in smaller batches, at equal cost. A
# ViT's map is finer than a ResNet's.
FINE_SCALES = {0.75: 0.5, 1.0: 0.4, 1.5: 0.1}, {2.0: 0.7, 3.0: 0.3}
COARSE_SCALES = {1.0: 0.6, 1.5: 0.2, 2.0: 0.2}, {2.0: 0.3, 3.0: 0.4, 4.0: 0.3}


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

    def encode_boxes(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Encode parts of whole pictures as segmentation does; ``[B, N, D]``.

        Args:
            images: ``[B, 3, H, W]``.
            boxes: Top, left, bottom, right as shares of the sides, ``[B, N, 4]``.

        Returns:
            Unit vectors.
        """
        visual = self.clip.visual
        if hasattr(visual, 'attnpool'):
            output = visual.forward_intermediates(
                images, indices=[4], intermediates_only=True
            )
            features = output['image_intermediates'][0]  # [B, C, h, w]
            masks = fill_boxes(boxes, features.shape[-2:])
            pooled = attention_pool(features, masks, visual.attnpool)
            return F.normalize(pooled, dim=-1)
        grid = [size // visual.patch_size[0] for size in images.shape[-2:]]
        table = visual.positional_embedding
        table = resize_position_embedding(table, tuple(grid), mode='bicubic')
        visual.output_tokens = True
        _, tokens = functional_call(visual, {'positional_embedding': table}, (images,))
        visual.output_tokens = False
        masks = fill_boxes(boxes, grid).flatten(2).to(tokens)
        pooled = masks @ tokens / masks.sum(-1, keepdim=True)
        return F.normalize(pooled @ visual.proj, dim=-1)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return logits ``[B, K]`` of unit vectors ``[B, D]`` and ``[K, D]``."""
        return self.clip.logit_scale.exp().clamp(max=100) * image @ text.T


def fill_boxes(boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Return the cells whose middle is in each box, or the nearest to its middle.

    Args:
        boxes: Top, left, bottom, right as shares of the sides, ``[B, N, 4]``.
        size: Height h and width w of the map.

    Returns:
        bool, ``[B, N, h, w]``, with at least one cell each.
    """
    inside = []
    for axis, length in enumerate(size):
        center = (torch.arange(length) + 0.5) / length
        low, high = boxes[..., axis, None], boxes[..., axis + 2, None]
        nearest = ((low + high) / 2 * length).long().clamp(0, length - 1)
        inside.append(
            ((center >= low) & (center <= high)) | (torch.arange(length) == nearest)
        )
    return inside[0].unsqueeze(-1) & inside[1].unsqueeze(-2)


def normalize(images: np.ndarray, share: float = 0.0, gain: float = 1.0) -> Tensor:
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
        towers(towers.encode_image(normalize(chunk)), text).argmax(-1)
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
    if hasattr(clip.visual, 'transformer'):
        with torch.no_grad():
            start_transformer(clip.visual)
    if args.text_from is not None:
        load_tower(clip, args.text_from, visual=False)
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.startswith('visual.'))
    if args.image_from is not None:
        load_tower(clip, args.image_from, visual=True)
    return Towers(clip).to(memory_format=torch.channels_last)  # faster


def start_transformer(visual: nn.Module) -> None:
    """Start a ViT where few pictures suffice: it knows places, and attends nearby.

    Positions are sines, and keys resemble queries, in place.
    """
    table = visual.positional_embedding
    width, side = table.shape[1], visual.grid_size[0]
    table.copy_(
        0.3 * torch.from_numpy(get_2d_sincos_pos_embed(width, side, cls_token=True))
    )
    for block in visual.transformer.resblocks:
        query, key, _ = block.attn.in_proj_weight.chunk(3)
        nn.init.normal_(query, std=width**-0.5)
        key.normal_(std=0.7 * width**-0.5).add_(query, alpha=0.7)


def make_optimizers(towers: Towers, args: argparse.Namespace) -> dict[str, object]:
    """Make Muon for the matrices of a ViT's blocks, AdamW (no decay for vectors) for
    all else, and their schedules.
    """
    groups: dict[str, list] = {'muon': [], 'decayed': [], 'plain': []}
    for name, parameter in towers.named_parameters():
        if parameter.requires_grad:
            in_block = 'visual.transformer' in name and parameter.ndim == 2
            decays = parameter.ndim > 1 and 'embedding' not in name
            kind = 'muon' if in_block else 'decayed' if decays else 'plain'
            groups[kind].append(parameter)
    decay = args.weight_decay
    adamw = torch.optim.AdamW(
        [
            dict(params=groups['decayed'], weight_decay=decay),
            dict(params=groups['plain'], weight_decay=0.0),
        ],
        lr=args.lr,
        betas=(0.9, 0.98),
    )
    parts: dict[str, object] = {'adamw': adamw}
    if groups['muon']:
        parts['muon'] = Muon(groups['muon'], args.lr, weight_decay=decay)
    warm_up = min(200, args.steps // 5 + 1)

    def factor(step: int) -> float:
        done = max(step - warm_up, 0) / max(args.steps - warm_up, 1)
        return min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * done))

    return parts | {
        f'schedule_{name}': torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        for name, optimizer in parts.items()
    }


def pretrain_text(towers: Towers, captions: Captions, args) -> None:
    """Let captions of one class agree, and those of others not.

    Without it the image tower has no targets that are apart, and learns colors alone
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
    size = image_size(towers)
    whole = rng.uniform() < args.whole
    is_vit = hasattr(towers.clip.visual, 'transformer')
    scales = (FINE_SCALES if is_vit else COARSE_SCALES)[whole]
    scale = rng.choice(list(scales), p=list(scales.values()))
    count, frame = max(int(args.batch_size / scale**2), 1), int(size * scale)
    if whole:
        pictures, boxes, labels = source.draw_whole(rng, count, frame)
    else:
        pictures, labels = source.draw(rng, count, frame)
    images = normalize(pictures, rng.uniform(), rng.uniform(0.9, 1.1))
    text = towers.encode_text(captions.draw(rng))
    if whole:
        encoded = towers.encode_boxes(images, torch.from_numpy(boxes))
        encoded, labels = encoded[torch.from_numpy(labels >= 0)], labels[labels >= 0]
    else:
        encoded = towers.encode_image(images)
    return captions.loss(towers(encoded, text), torch.from_numpy(labels))


def save(path: Path, progress: dict, parts: dict) -> None:
    """Write a checkpoint, whole or not at all."""
    states = {name: part.state_dict() for name, part in parts.items()}
    with atomic_path(path) as draft:
        torch.save({'progress': progress, **states}, draft)


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
    """Write all weights in half precision, as open_clip reads them, or nothing."""
    state = {
        name: value.detach().half().contiguous() if value.is_floating_point() else value
        for name, value in towers.clip.state_dict().items()
    }
    with atomic_path(path) as draft:
        save_file(state, draft)


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
    optimizers = make_optimizers(towers, args)
    parts = dict(towers=towers, **optimizers)
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
    start, losses = time.perf_counter() - before['seconds'], []
    for step in range(before['step'], args.steps):
        loss = train_step(towers, source, captions, args, step)
        towers.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(towers.parameters(), 1.0)
        for part in optimizers.values():  # the schedules last
            part.step()
        losses.append(loss.item())
        done = step + 1
        if done % args.log_every == 0 or done == args.steps:
            now = dict(step=done, seconds=round(time.perf_counter() - start, 1))
            found = measure(towers, captions, *held_out)
            row = {**now, 'loss': round(float(np.mean(losses)), 4), **found}
            append(log, row)
            print(row, flush=True)
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
    parser.add_argument('--batch-size', type=int, default=64, help='of crops')
    parser.add_argument('--lr', type=float, default=1e-3)
    parser.add_argument('--weight-decay', type=float, default=0.05)
    parser.add_argument(
        '--whole', type=float, default=0.5, help='share of batches of whole pictures'
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--num-pictures', type=int, default=5000)
    parser.add_argument('--num-held-out', type=int, default=500)
    parser.add_argument('--num-crops', type=int, default=1000, help='to measure on')
    parser.add_argument('--log-every', type=int, default=250, help='steps')
    parser.add_argument('--workers', type=int, default=1, help='that draw pictures')
    args = parser.parse_args(argv)
    for name in (
        'batch_size',
        'num_pictures',
        'num_held_out',
        'num_crops',
        'log_every',
    ):
        if getattr(args, name) < 1:
            option = name.replace('_', '-')
            parser.error(f'--{option} must be at least 1, got {getattr(args, name)}')
    if args.steps < 0 or not 0 <= args.whole <= 1:
        parser.error('--steps must be at least 0, and --whole from 0 to 1.')
    return args


if __name__ == '__main__':
    train(parse_args())
