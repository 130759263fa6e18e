"""Say what is installed, and what is missing; imports no package unless it has to."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ...command_line import FAILED, print_json
from ...fileio import check_writable, printable
from ...version import __version__


class Feature(NamedTuple):
    """A feature and what it needs.

    Attributes:
        title: What it is, for people.
        modules: Modules to import, all of them.
        install: The line that installs what is missing.
    """

    title: str
    modules: tuple[str, ...]
    install: str


NEEDED = Feature(
    'predict, label, models',
    (
        *('torch', 'torchvision', 'numpy', 'scipy', 'open_clip', 'timm', 'safetensors'),
        *('PIL', 'cv2', 'pycocotools', 'tqdm', 'matplotlib', 'mmengine'),
    ),
    'pip install mmovseg',
)
FEATURES = (
    Feature(
        'train, test, validate',
        ('mmengine', 'mmcv', 'mmdet', 'mmseg'),
        "pip install 'mmovseg[openmmlab]'",
    ),
    Feature(
        'export to ONNX',
        ('onnx', 'onnxscript', 'onnxruntime'),
        "pip install 'mmovseg[export]'",
    ),
    Feature(
        'label --format label-studio',
        ('label_studio_sdk',),
        "pip install 'mmovseg[label-studio]'",
    ),
    Feature('CVAT', ('cvat_sdk',), "pip install 'mmovseg[cvat]'"),
    Feature(
        'Result.to_supervision',
        ('supervision',),
        "pip install 'mmovseg[supervision]'",
    ),
    Feature('label --ray', ('ray',), "pip install 'mmovseg[ray]'"),
    Feature('FiftyOneModel', ('fiftyone',), "pip install 'mmovseg[fiftyone]'"),
    Feature('video', ('av',), "pip install 'mmovseg[video]'"),
    Feature('predict --geotiff', ('rasterio',), "pip install 'mmovseg[geotiff]'"),
    Feature('serve', ('gradio',), "pip install 'mmovseg[web]'"),
    Feature('completion', ('shtab',), "pip install 'mmovseg[completion]'"),
)
# Modules whose distribution has another name.
_DISTRIBUTIONS = {
    'PIL': ('pillow',),
    'cv2': ('opencv-python-headless', 'opencv-python'),
    'open_clip': ('open_clip_torch',),
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'cvat_sdk': ('cvat-sdk',),
    'label_studio_sdk': ('label-studio-sdk',),
}
# Two sets of packages with the same modules: having both breaks both.
_TWINS = (
    ('onedl-mmengine', 'mmengine'),
    ('onedl-mmcv', 'mmcv'),
    ('onedl-mmdetection', 'mmdet'),
    ('onedl-mmsegmentation', 'mmsegmentation'),
)


def run(args: argparse.Namespace) -> int:
    """Report; return the exit status."""
    report = examine()
    if args.json:
        print_json(report)
    else:
        print_report(report)
    return FAILED if report['needed']['missing'] or report['twins'] else 0


def examine() -> dict[str, Any]:
    """Return all that the report has, as plain values."""
    modules = [x for feature in (NEEDED, *FEATURES) for x in feature.modules]
    return dict(
        mmovseg=__version__,
        python=platform.python_version(),
        system=platform.platform(),
        cpus=os.cpu_count(),
        versions={name: find_version(name) for name in dict.fromkeys(modules)},
        needed=check_feature(NEEDED),
        features=[check_feature(feature) for feature in FEATURES],
        twins=[pair for pair in _TWINS if all(map(_has, pair))],
        gpu=describe_gpu(),
        folders=[check_folder(*pair) for pair in list_folders()],
    )


def find_version(module: str) -> str | None:
    """Return the version of a module; None if it is not installed."""
    if importlib.util.find_spec(module) is None:
        return None
    for name in _DISTRIBUTIONS.get(module, (module,)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'unknown'


def _has(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def check_feature(feature: Feature) -> dict[str, Any]:
    """Return what a feature lacks."""
    missing = [x for x in feature.modules if importlib.util.find_spec(x) is None]
    return dict(title=feature.title, missing=missing, install=feature.install)


def describe_gpu() -> dict[str, Any]:
    """Describe the GPUs, or say why there is none."""
    try:
        import torch
    except Exception as error:  # a broken installation raises many kinds
        return dict(names=[], reason=f'torch cannot be imported: {error}')
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = [torch.cuda.get_device_name(i) for i in range(count)]
        return dict(names=names, cuda=torch.version.cuda, reason='')
    reason = 'no GPU was found'
    if torch.version.cuda is None:
        reason = 'this torch is built for CPUs'
    return dict(names=[], cuda=torch.version.cuda, reason=reason)


def list_folders() -> list[tuple[str, str]]:
    """Return the folders that are written to, and what for."""
    home = os.path.expanduser('~')
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.join(home, '.cache')
    own = os.environ.get('MMOVSEG_CACHE') or os.path.join(cache, 'mmovseg')
    hub = os.environ.get('HF_HOME') or os.path.join(cache, 'huggingface')
    return [
        ('text embeddings and models (MMOVSEG_CACHE)', own),
        ('weights of CLIP (HF_HOME)', hub),
        ('results', os.getcwd()),
    ]


def check_folder(title: str, path: str) -> dict[str, Any]:
    """Say whether a folder can be written, how full it is, and how much is free."""
    place = Path(path)
    there = next((x for x in (place, *place.parents) if x.is_dir()), None)
    problem = ''
    try:
        if there is None:
            raise FileNotFoundError(2, 'there is no such folder')
        check_writable(there / '.mmovseg-doctor')
    except OSError as error:
        problem = error.strerror or str(error)
    free = shutil.disk_usage(there).free if there is not None else 0
    return dict(title=title, path=path, problem=problem, free=free)


def print_report(report: dict[str, Any]) -> None:
    """Print the report for people."""
    print(
        f'mmovseg {report["mmovseg"]}, Python {report["python"]} '
        f'({printable(sys.executable)}), {report["system"]}, {report["cpus"]} CPUs'
    )
    versions = report['versions'].items()
    print(', '.join(f'{name} {version}' for name, version in versions if version))
    print()
    for feature in (report['needed'], *report['features']):
        lacks = ', '.join(feature['missing'])
        mark = f'missing {lacks}: {feature["install"]}' if lacks else 'ok'
        print(f'{feature["title"]}: {mark}')
    for ours, theirs in report['twins']:
        print(
            f'{ours} and {theirs} have the same modules and break each other: '
            f'pip uninstall {ours} {theirs}, then install one of them.'
        )
    gpu = report['gpu']
    names = ', '.join(gpu['names'])
    print(f'GPU: {names} (CUDA {gpu["cuda"]})' if names else f'GPU: {gpu["reason"]}')
    for folder in report['folders']:
        state = folder['problem'] or f'{folder["free"] / 1e9:.0f} GB free'
        print(f'{folder["title"]}: {printable(folder["path"])}, {state}')
