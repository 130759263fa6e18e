"""Build a model for inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import init_default_scope

from ..registry import MODELS
from .checkpoint import get_state_dict, load_state_dict, read_checkpoint
from .config import load_config, packaged_towers, without_downloads
from .photo_pipeline import resize_photo


def init_model(
    config: str | Path | Config | Mapping[str, Any],
    checkpoint: str | Path | None = None,
    device: str | torch.device = 'cpu',
    cfg_options: Mapping[str, Any] | None = None,
    *,
    allow_missing: Sequence[str] = (),
    trust_checkpoint: bool = False,
    plain: bool = False,
) -> BaseModel:
    """Build a model from a config and load its weights.

    With a checkpoint nothing is downloaded: the CLIPs' weights are in it, or packaged.

    Args:
        config: A path, the name of a packaged config, or a loaded one.
        checkpoint: A file of MMEngine's runner or of our converters, or safetensors;
            ``'shapeworld'`` is the packaged one of ``eovseg_tiny_shapeworld``. None
            leaves the trained parts random and the CLIPs as the config says.
        device: Where the model goes.
        cfg_options: Values of the config to change, by dotted name.
        allow_missing: Prefixes of weights that the checkpoint may lack, such as
            ``'text_classifier.clip.'`` for a file without its text tower. Where it
            does lack them, the component loads what its ``pretrained`` names.
        trust_checkpoint: Load a pickle even if it can run code.
        plain: Let calls of the model run every operation as its formula says: slower,
            with more memory, and nearest to the released code. See
            :func:`mmovseg.models.ops.plain`.

    Returns:
        The model in eval mode; its config is ``model.cfg``.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        ValueError: If a config key is misspelt, or the checkpoint is unsafe, damaged,
            or of another model; the message says which keys or weights. Or if the model
            cannot have the presence filter of its config.

    Example:
        >>> model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
        >>> type(model).__name__, len(model.vocabulary)
        ('EOVSeg', 58)
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmovseg'))
    if checkpoint is None:
        model = MODELS.build(cfg.model)
    else:
        # Read first: a file that is refused should not cost a minute of building.
        loaded = read_checkpoint(checkpoint, trust_checkpoint=trust_checkpoint)
        state = get_state_dict(loaded, str(checkpoint))
        lacking = [
            prefix
            for prefix in allow_missing
            if not any(key.startswith(prefix) for key in state)
        ]

        def is_lacking(path: str) -> bool:
            return any(prefix.startswith(f'{path}.') for prefix in lacking)

        model = MODELS.build(without_downloads(cfg.model, keep=is_lacking))
        optional = (*allow_missing, *packaged_towers(cfg.model))
        load_state_dict(model, state, name=str(checkpoint), allow_missing=optional)
    if getattr(model, 'presence_filter', None) is not None:
        model.check_presence_filter()
    model = revert_sync_batchnorm(model)
    model.cfg = cfg
    model.plain = plain
    model.resize_example = partial(resize_photo, cfg)
    return model.to(device).eval()
