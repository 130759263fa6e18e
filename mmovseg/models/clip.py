"""Frozen CLIP models, built through open_clip's public functions only."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ops import PatchConv, has_size

TINY_CLIP_DIR = Path(__file__).parent / 'tiny_clip'
SHAPEWORLD = 'shapeworld'  # tag of the packaged weights of tiny CLIPs


@cache
def register_tiny_models() -> None:
    """Make the packaged tiny CLIPs known to open_clip, once per process."""
    open_clip.add_model_config(TINY_CLIP_DIR)


def packaged_weights(model_name: str) -> Path | None:
    """Return the file of a tiny CLIP trained on ShapeWorld, None if there is none."""
    path = TINY_CLIP_DIR / f'{model_name}.safetensors'
    return path if path.is_file() else None


def resolve_model_name(model_name: str, pretrained: str | None) -> str:
    """Return the name whose activation is the one the weights were trained with.

    open_clip keeps GELU and QuickGELU models apart by name, and 3.x only warns when
    a tag trained with QuickGELU (all of OpenAI's) is asked for under the plain name.

    Args:
        model_name: A name of open_clip, such as ``'RN50'``.
        pretrained: A tag of open_clip, a file, or None.

    Returns:
        ``'RN50-quickgelu'`` for ``('RN50', 'openai')``; the name itself for a file,
        None, or a tag trained with GELU.
    """
    if pretrained is None or model_name.endswith('-quickgelu'):
        return model_name
    tag = open_clip.get_pretrained_cfg(model_name, pretrained)
    return f'{model_name}-quickgelu' if tag.get('quick_gelu') else model_name


def create_clip(model_name: str, pretrained: str | None = None) -> Any:
    """Build a frozen CLIP with both towers.

    Args:
        model_name: A name of open_clip or of a JSON file in ``models/tiny_clip``.
        pretrained: A tag of open_clip (downloaded once), ``'shapeworld'`` (packaged,
            of tiny CLIPs), a local file (safetensors, or a pickle that is loaded
            weights-only), or None for random weights without any network use.

    Returns:
        An open_clip model without gradients, in eval mode, in float32.

    Raises:
        ValueError: If the name, or the tag of the name, does not exist.
        ValueError: If a weight is NaN or infinite.
        FileNotFoundError: If ``pretrained`` looks like a file and is missing.
        OSError: If the weights of a tag cannot be fetched.
    """
    register_tiny_models()
    if model_name not in open_clip.list_models():
        raise ValueError(
            f'Unknown CLIP model {model_name!r}; open_clip.list_models() shows the '
            'names, open_clip.add_model_config(folder) adds your own JSON files.'
        )
    packaged = packaged_weights(model_name)
    if pretrained == SHAPEWORLD and packaged is not None:
        pretrained = str(packaged)
    if pretrained is not None and not Path(pretrained).is_file():
        tags = open_clip.list_pretrained_tags_by_model(model_name)
        tags += [SHAPEWORLD] * (packaged is not None)
        if Path(pretrained).suffix or '/' in str(pretrained):
            raise FileNotFoundError(f'CLIP weights {str(pretrained)!r} do not exist.')
        if str(pretrained) not in tags:
            raise ValueError(
                f'{model_name!r} has no weights {pretrained!r}; open_clip knows '
                f'{tags}, and a local file or None work too.'
            )
    logging.root.addFilter(_hide_expected_warning)  # once, however often it is called
    token = _ASKED_FOR_RANDOM.set(pretrained is None)
    try:
        model = open_clip.create_model(
            resolve_model_name(model_name, pretrained),
            pretrained=None if pretrained is None else str(pretrained),
            weights_only=True,
        )
    except Exception as error:  # of every library that takes part in a download
        if pretrained is None or Path(pretrained).is_file():
            raise
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        raise OSError(
            f'CLIP weights {pretrained!r} of {model_name!r} cannot be fetched: '
            f'{reason} Try again with a network, or name a file as pretrained.'
        ) from error
    finally:
        _ASKED_FOR_RANDOM.reset(token)
    if pretrained is not None:
        _check_finite(model, pretrained)
    return freeze(model)


def _check_finite(model: nn.Module, pretrained: str) -> None:
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise ValueError(
                f'CLIP weights {str(pretrained)!r} are damaged: {name} holds NaN or '
                'infinity.'
            )


# Of this thread alone.
_ASKED_FOR_RANDOM: ContextVar[bool] = ContextVar('asked_for_random', default=False)


def _hide_expected_warning(record: logging.LogRecord) -> bool:
    """Drop open_clip's warning of random weights where those are asked for.

    Often a checkpoint follows. The warning comes on the root logger.
    """
    expected = str(record.msg).startswith('No pretrained weights loaded for model')
    return not (expected and _ASKED_FOR_RANDOM.get())


def tokenize(text: str) -> Tensor:
    """Return the tokens of a text as CLIP of OpenAI reads it, int64, ``[1, 77]``."""
    return open_clip.get_tokenizer('RN50')([text])


def create_visual_transformer(model_name: str, pretrained: str | None = None) -> Any:
    """Build the frozen image tower of a CLIP with a vision transformer.

    Blocks with PyTorch's attention take tokens first, ``[L, B, C]``.

    Args:
        model_name: A name of open_clip, such as ``'ViT-B-16'``.
        pretrained: As in :func:`create_clip`.

    Raises:
        ValueError: If the model is unknown, or its image tower is another one.
    """
    visual = create_clip(model_name, pretrained).visual
    if not hasattr(visual, 'transformer'):
        raise ValueError(
            f'{model_name!r} has no vision transformer of open_clip; use '
            'CLIPConvBackbone.'
        )
    visual.conv1 = PatchConv.from_conv(visual.conv1)
    _put_tokens_first(visual.transformer)
    return visual


def _put_tokens_first(transformer: Any) -> None:
    """Let the blocks of a tower compute on ``[L, B, C]``, as attention does inside.

    Attention turns ``[B, L, C]`` around without a copy, and its first product then
    takes every token of a batch alone, in half precision with a copy of the weights: on
    a CPU a batch is ten times as slow so in bfloat16, 1.3 times in float32. And in
    evaluation it would take a kernel that builds the matrix of all pairs of tokens, and
    thrice the time of the fused one, which is the one for training. Towers with
    open_clip's own attention, which knows no other order, stay as they are.
    """
    attentions = [block.attn for block in transformer.resblocks]
    if all(isinstance(attention, nn.MultiheadAttention) for attention in attentions):
        transformer.batch_first = False
        for attention in attentions:
            attention.batch_first = False


def freeze(module: nn.Module) -> nn.Module:
    """Switch off gradients and training behavior of a module, in place."""
    return module.requires_grad_(False).eval()


def embed_patches(visual: Any, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Make the tokens of a CLIP ViT, before positions are added.

    Args:
        visual: From :func:`create_visual_transformer`.
        images: ``[B, 3, H, W]``; a rest narrower than a patch is dropped.

    Returns:
        Class token and patches, ``[B, 1 + L, C]``; height and width of the grid of
        L patches.
    """
    tokens = visual.conv1(images)  # [B, C, h, w]
    grid = (tokens.shape[-2], tokens.shape[-1])
    tokens = tokens.flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(tokens.dtype).expand(tokens.shape[0], 1, -1)
    return torch.cat([first, tokens], 1), grid


def add_positions(
    visual: Any, tokens: Tensor, grid: tuple[int, int], *, mode: str = 'bilinear'
) -> Tensor:
    """Tell the tokens of :func:`embed_patches` their places.

    Args:
        visual: From :func:`create_visual_transformer`.
        tokens: ``[B, 1 + L, C]``.
        grid: Height and width of the grid of L patches.
        mode: Interpolation of the position table, where it is of another size.

    Returns:
        ``[B, 1 + L, C]``, before the tower's first norm.
    """
    table = resize_position_embedding(
        visual.positional_embedding, grid, table_size=visual.grid_size, mode=mode
    )
    return tokens + table.to(tokens.dtype)


def list_tower_stages(visual: Any) -> list[list[Any]]:
    """Return what makes the tokens of a CLIP ViT, and then each of its blocks."""
    stem = [visual.conv1, visual.class_embedding, visual.positional_embedding]
    blocks = visual.transformer.resblocks
    return [[*stem, visual.ln_pre], *([block] for block in blocks)]


def make_map(
    tokens: Tensor, grid: tuple[int, int], *, with_class_token: bool = False
) -> Any:
    """Lay the patches of a ViT out as a map.

    Args:
        tokens: Class token first, patches last, ``[B, T, C]``.
        grid: Height and width of the grid of patches.
        with_class_token: Return the class token too.

    Returns:
        ``[B, C, *grid]``; or a list of it and the class token ``[B, C]``, as
        ``output_cls_token`` of mmseg's ViT asks for.
    """
    patches = tokens[:, -grid[0] * grid[1] :]
    patches = patches.transpose(1, 2).unflatten(2, grid).contiguous()
    return [patches, tokens[:, 0]] if with_class_token else patches


def resize_position_embedding(
    embedding: Tensor,
    size: tuple[int, int],
    *,
    table_size: tuple[int, int] | None = None,
    mode: str = 'bilinear',
) -> Tensor:
    """Resize the grid rows of a position table; the class row stays as it is.

    Args:
        embedding: ``[1 + G, C]``, the row of the class token first.
        size: Height and width of the new grid, in patches.
        table_size: Of the old one; None means that it is a square.
        mode: Interpolation, without align_corners.

    Returns:
        ``[1 + size[0] * size[1], C]``.
    """
    head, grid = embedding[:1], embedding[1:]
    side = round(len(grid) ** 0.5)
    grid = grid.T.reshape(1, -1, *(table_size or (side, side)))
    if has_size(grid, size):
        return embedding
    grid = F.interpolate(grid, size=size, mode=mode, align_corners=False)
    return torch.cat([head, grid.flatten(2)[0].T])
