"""What a run card says of a run besides its scores, and how it is written."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import math
import os
import platform
import posixpath
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.fileio import get_local_path
from torch import nn

from ..fileio import write_atomic
from ..version import __version__
from ..vocabulary import Vocabulary
from .profiling import count_parameters

CARD_FORMAT = 1
CARD_NAME = 'results.json'
MAX_CHANGED_FILES = 20

# The maintained forks and the original packages have the same import names.
_PACKAGES = {
    'mmovseg': ('mmovseg',),
    'torch': ('torch',),
    'torchvision': ('torchvision',),
    'open_clip': ('open_clip_torch',),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'numpy': ('numpy',),
}


def hash_config(cfg: Mapping[str, Any]) -> str:
    """Hash the part of a config that decides the result of an evaluation.

    That is the model, the data set with its pipeline, the batch size, the evaluators
    and the loop; not the folder of the data sets (``MMOVSEG_DATA``), workers,
    logging or schedule. Machines with the same config so have the same hash.

    Args:
        cfg: A config with all its options, as loaded.

    Returns:
        SHA-256 in hexadecimal digits.
    """
    loader = cfg.get('test_dataloader') or {}
    content = dict(
        model=cfg.get('model'),
        dataset=loader.get('dataset'),
        batch_size=loader.get('batch_size', 1),
        evaluator=cfg.get('test_evaluator'),
        loop=cfg.get('test_cfg'),
    )
    root = os.environ.get('MMOVSEG_DATA', 'data').rstrip('/')
    text = json.dumps(_hide_root(content, root), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _hide_root(value: Any, root: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _hide_root(item, root) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide_root(item, root) for item in value]
    if isinstance(value, str) and value.startswith(f'{root}/'):
        return posixpath.join('$MMOVSEG_DATA', value[len(root) :].lstrip('/'))
    return value


# Stands for a checkpoint where other libraries fetch what the parts of a model bring.
PRETRAINED = 'pretrained'


def describe_checkpoint(path: str, model: nn.Module) -> dict[str, Any]:
    """Give name, size and SHA-256 of a file; a URL is fetched.

    Args:
        path: File or URL; of ``'pretrained'`` it is the weights of the model, by name,
            whose hash is given.
        model: The model.
    """
    digest, size = hashlib.sha256(), 0
    if path == PRETRAINED:
        for name, value in sorted(model.state_dict().items()):
            digest.update(f'{name} {value.dtype} {tuple(value.shape)};'.encode())
            block = value.cpu().contiguous().flatten().view(torch.uint8).numpy()
            digest.update(block.data)
            size += block.nbytes
        return dict(file=path, bytes=size, sha256=digest.hexdigest())
    with get_local_path(path) as local, open(local, 'rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
            size += len(block)
    return dict(file=Path(path).name, bytes=size, sha256=digest.hexdigest())


def describe_model(model: nn.Module) -> dict[str, Any]:
    """Give the class of a model and its parameters, without the text tower.

    EOV-Seg and DeOP count them so: text is embedded once per vocabulary.
    """
    parameters = sum(p.numel() for p in model.parameters())
    if hasattr(model, 'text_classifier'):
        parameters -= count_parameters(model)['text_tower'].total
    return dict(type=type(model).__name__, parameters=parameters)


def describe_vocabulary(vocabulary: Vocabulary) -> dict[str, Any]:
    """Give counts and hash of a vocabulary, and its packaged name if it has one."""
    packaged = [
        name for name in Vocabulary.available() if Vocabulary.load(name) == vocabulary
    ]
    return dict(
        name=packaged[0] if packaged else None,
        classes=len(vocabulary),
        names=len(vocabulary.all_names),
        sha256=vocabulary.fingerprint,
    )


def list_versions() -> dict[str, str | None]:
    """Give the versions of what computes the results; None where it is missing."""
    versions: dict[str, str | None] = {'python': platform.python_version()}
    for package, distributions in _PACKAGES.items():
        versions[package] = None
        for name in distributions:
            try:
                versions[package] = importlib.metadata.version(name)
                break
            except importlib.metadata.PackageNotFoundError:
                continue
    versions['mmovseg'] = __version__  # of the code that runs, installed or not
    versions['cuda'] = torch.version.cuda
    return versions


def describe_hardware() -> dict[str, Any]:
    """Give processor, threads and accelerators of this machine."""
    gpus = [
        torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
    ]
    return dict(
        system=f'{platform.system()} {platform.machine()}',
        cpu=_cpu_name(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        gpus=gpus,
        processes=get_world_size(),
    )


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def describe_git() -> dict[str, Any] | None:
    """Give the commit of this code, and what differs from it.

    Returns:
        ``commit``, ``dirty``, ``changed`` (at most 20 files, untracked ones too); None
        where the package is installed and not run from its repository.
    """
    root = Path(__file__).resolve().parents[2]
    top = _git(root, 'rev-parse', '--show-toplevel')
    # An installed package may lie in an environment inside another repository.
    if top is None or Path(top.strip()).resolve() != root:
        return None
    commit = _git(root, 'rev-parse', 'HEAD')
    status = _git(root, 'status', '--porcelain')
    if commit is None or status is None:
        return None
    changed = [line[3:] for line in status.splitlines()]
    return dict(
        commit=commit.strip(),
        dirty=bool(changed),
        changed=changed[:MAX_CHANGED_FILES],
    )


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        return subprocess.run(
            ['git', '-C', str(folder), *arguments],
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def describe_place() -> dict[str, Any]:
    """Give versions, hardware and commit: what every measurement depends on."""
    return dict(
        versions=list_versions(), hardware=describe_hardware(), git=describe_git()
    )


def write_card(path: str | Path, card: Mapping[str, Any]) -> None:
    """Write a run card as JSON: whole, or not at all. Numbers without value are null.

    Args:
        path: File; its folder is made. An older one is replaced.
        card: The content.
    """
    text = json.dumps(to_plain(card), indent=2, allow_nan=False)
    write_atomic(path, f'{text}\n', sync=True)


def to_plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if hasattr(value, 'item'):  # of numpy or torch
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def read_card(path: str | Path) -> dict[str, Any]:
    """Read a run card.

    Raises:
        ValueError: If the file is no run card, or one of another format.
    """
    try:
        card = json.loads(Path(path).read_text(encoding='utf-8'))
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is no run card: {error}.') from error
    if not isinstance(card, dict) or card.get('format') != CARD_FORMAT:
        raise ValueError(
            f'{path} is no run card of format {CARD_FORMAT}; tools/test.py writes them '
            f'as {CARD_NAME}.'
        )
    return card
