"""The test pipeline of a config, for photos that are in memory."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from torch import Tensor

from ..formats.image_file import ImageError
from ..openmmlab import import_openmmlab
from ..registry import TRANSFORMS

# Pipelines limit the longer side to 2560: beyond this ratio the other one vanishes.
MAX_ASPECT = 256
MAX_VALUES = 1 << 29  # of a photo that is thickened


class Photo(NamedTuple):
    """A photo to segment.

    Attributes:
        index: Its number among the inputs.
        name: Start of the names of its files.
        bgr: uint8, ``[H, W, 3]``.
    """

    index: int  # type: ignore[assignment]  # hides that of tuples
    name: str
    bgr: np.ndarray


class PhotoPipeline:
    """A test pipeline that starts from arrays.

    Every thread has its own transforms, since some keep numbers of one image on
    themselves during a call, such as the scale of mmseg's ``ResizeShortestEdge``.

    Args:
        transforms: Configs of the transforms; loaders are left out.

    Raises:
        MissingPackageError: If one is mmcv's, mmdet's or mmseg's, and they are not
            installed.
    """

    def __init__(self, transforms: Sequence[Mapping[str, Any]]) -> None:
        kept = [x for x in transforms if not _type_name(x).startswith('Load')]
        self._transforms = Compose([_build(x) for x in kept])
        self._of_thread = threading.local()

    def __getstate__(self) -> dict[str, Any]:
        return dict(transforms=self._transforms)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._transforms = state['transforms']
        self._of_thread = threading.local()

    def __call__(self, photo: Photo) -> dict[str, Any]:
        """Make inputs and data sample; ``ori_shape`` is the size of the result."""
        image, size = photo.bgr, photo.bgr.shape[:2]
        # A line of pixels is thickened, or resizing would leave nothing of it.
        axis, other = (0, 1) if size[0] < size[1] else (1, 0)
        times = -(-size[other] // (MAX_ASPECT * size[axis]))
        if times > 1:
            if image.size * times > MAX_VALUES:
                raise ImageError(
                    f'Photo {photo.name} of {size[1]} x {size[0]} pixels is too narrow '
                    'to be resized; cut it.'
                )
            image = image.repeat(times, axis)
        if not hasattr(self._of_thread, 'transforms'):
            self._of_thread.transforms = copy.deepcopy(self._transforms)
        return self._of_thread.transforms(
            dict(
                img=image,
                img_path=photo.name,
                img_id=photo.index,
                img_shape=image.shape[:2],
                ori_shape=size,
                height=size[0],
                width=size[1],
                seg_fields=[],
            )
        )


def _build(transform: Mapping[str, Any]) -> Callable:
    """Build a transform of any package; only ours are there without mmcv."""
    kind = transform['type']
    if isinstance(kind, str) and TRANSFORMS.get(kind) is None:
        need = f'The transform {kind!r} of the test pipeline needs'
        import_openmmlab('mmcv.transforms', 'mmdet', 'mmseg', need=need)
    return TRANSFORMS.build(transform)


def _type_name(transform: Mapping[str, Any]) -> str:
    kind = transform['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def find_pipeline(cfg: Config) -> Sequence[Mapping[str, Any]]:
    """Return the test pipeline of a config.

    Raises:
        ValueError: If there is none.
    """
    if 'test_pipeline' in cfg:
        return cfg.test_pipeline
    part = cfg.get('test_dataloader', {})
    while part and 'pipeline' not in part and 'dataset' in part:
        part = part['dataset']
    if 'pipeline' not in part:
        raise ValueError(
            'The config says nothing about reading images: it needs a test_pipeline '
            'or a test_dataloader.'
        )
    return part['pipeline']


def resize_photo(cfg: Config, bgr: np.ndarray) -> Tensor:
    """Resize a photo as the test pipeline of a config does.

    Args:
        cfg: The config.
        bgr: uint8, ``[H, W, 3]``.

    Returns:
        uint8, ``[3, h, w]``.
    """
    photo = Photo(0, 'example', np.ascontiguousarray(bgr))
    return PhotoPipeline(find_pipeline(cfg))(photo)['inputs']
