"""Loaders of configs, with the data of other configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope

from ..apis.config import load_config


def read_loader(
    config: str,
    split: str = 'train',
    *,
    data_of: str | None = None,
    workers: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """Return the config of a loader: its data, and the pipeline to time.

    Args:
        config: A path or the name of a packaged config.
        split: ``'train'``, ``'val'`` or ``'test'``.
        data_of: Another config, whose data set goes through this one's pipeline.
        workers: Processes that read, instead of the config's.
        cfg_options: Values of the config to change, by dotted name.

    Raises:
        ValueError: If a config has no such loader.
    """
    cfg = load_config(config, cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmovseg'))
    key = f'{split}_dataloader'
    if cfg.get(key) is None:
        raise ValueError(f'{config} has no {key}: choose another --split.')
    loader = cfg[key]
    if data_of:
        other = load_config(data_of)
        if other.get(key) is None:
            raise ValueError(f'{data_of} has no {key}: choose another --split.')
        pipeline = loader.dataset.pipeline
        loader.dataset = dict(other[key].dataset, pipeline=pipeline)
    if workers is not None:
        loader.num_workers = workers
    if not loader.num_workers:
        loader.persistent_workers = False
    return loader
