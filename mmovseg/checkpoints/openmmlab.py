"""Give MMEngine's loader of checkpoints our reader."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from ..fileio import hash_file
from .download import download, is_url
from .read_file import CheckpointError, read_file
from .read_path import read_path

# All that MMEngine has a loader for; '' is everything else.
SCHEMES = [
    *('', 'http://', 'https://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'),
    *('modelzoo://', 'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://'),
]


def use_safe_checkpoints() -> None:
    """Make everything of MMEngine read checkpoints as mmovseg does.

    That is ``load_from``, ``resume``, ``init_cfg=dict(type='Pretrained')`` and
    ``mmengine.runner.load_checkpoint``. Its own loaders unpickle whatever a file holds
    if it is more than weights, and take a file of the same name from torch's cache.
    """
    CheckpointLoader.register_scheme(SCHEMES, load_from_mmovseg, force=True)


# MMEngine logs the name of a loader from the eleventh letter on.
def load_from_mmovseg(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, whatever ``map_location`` asks for.

    Models and optimizers copy to their own device when they load a state. Of a run of
    several processes the first one fetches a URL, and the others get what it got.

    Raises:
        FileNotFoundError: If there is no such file.
        DownloadError: If a URL gives no file.
        CheckpointError: If the file cannot be used.
    """
    name = find_url(str(filename))
    content = _read_once(name) if is_url(name) else read_path(name)
    if not isinstance(content, dict):
        raise CheckpointError(f'{filename} holds no weights of a model.')
    # When MMEngine resumes it runs the config in the file, as Python, for the number
    # of GPUs in configs of before 2022.
    if isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    if filename.startswith('mmcls://'):
        content = mmengine_checkpoint._process_mmcls_checkpoint(content)
    return content


def find_url(name: str) -> str:
    """Return the URL or path that a name of a model zoo stands for, or the name.

    Raises:
        CheckpointError: If the model zoo is closed or has no such model.
    """
    scheme, _, model = name.partition('://')
    if scheme in ('torchvision', 'modelzoo'):
        known = mmengine_checkpoint.get_torchvision_models()
    elif scheme in ('open-mmlab', 'openmmlab'):
        known = mmengine_checkpoint.get_external_models()
        model = mmengine_checkpoint.get_deprecated_model_names().get(model, model)
    elif scheme == 'mmcls':
        known = mmengine_checkpoint.get_mmcls_models()
    elif scheme == 'pavi':
        raise CheckpointError(f'{name}: pavi is not supported; download the file.')
    else:
        return name
    if model not in known:
        raise CheckpointError(f'{name}: MMEngine knows no such model.')
    url = known[model]
    home = mmengine_checkpoint._get_mmengine_home
    return url if '://' in url else os.path.join(home(), url)


def _read_once(url: str) -> Any:
    """Read a URL in the first process alone; see :func:`load_from_mmovseg`."""
    answer: list[Any] = [None, None]
    if dist.is_main_process():
        try:
            answer[0] = _read_cached(url)
        except (OSError, CheckpointError) as error:  # the others must not wait
            answer[1] = error
    if dist.is_distributed():
        dist.broadcast_object_list(answer)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def _read_cached(url: str) -> Any:
    """Read a URL, or torch's copy of it if its name proves what is in it."""
    name = url.rsplit('/', 1)[-1]
    digest = re.search(r'-([0-9a-f]{8,64})\.', name)
    cached = Path(torch.hub.get_dir(), 'checkpoints', name)
    if digest and cached.is_file() and hash_file(cached).startswith(digest[1]):
        return read_file(cached, str(cached))
    with download(url) as path:
        content = read_file(path, url)
        if digest and hash_file(path).startswith(digest[1]):
            _keep(path, cached)
    return content


def _keep(path: Path, target: Path) -> None:
    """Copy a file to the cache, which may be read-only or full."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            copy = shutil.copyfile(path, Path(folder, 'part'))
            os.replace(copy, target)
    except OSError:
        return  # it is read, and will be fetched again
