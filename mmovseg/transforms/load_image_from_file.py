"""Load an image, or say which file is broken."""

from __future__ import annotations

import numpy as np

from ..formats.image_file import read_image, read_photo
from ..registry import TRANSFORMS
from .base_transform import BaseTransform


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Read photos as the inferencer does.

    With ``color_type='color'``, the default, :func:`read_photo` reads the file: with
    transparency on white, 16 bits scaled to 8. For other types the numbers are those
    of ``mmcv.LoadImageFromFile``. Errors name the file, and a JPEG or PNG that is cut
    off is refused; the decoder would fill the rest with gray. Result fields are mmcv's.

    Args:
        to_float32: Whether to give float32 instead of uint8.
        color_type: ``'color'``, or a ``flag`` of :func:`read_image`.
        ignore_empty: Leave out samples whose file is missing or broken; the dataset
            then takes another one.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = 'color',
        *,
        ignore_empty: bool = False,
        backend_args: dict | None = None,
    ) -> None:
        self.to_float32 = to_float32
        self.color_type = color_type
        self.ignore_empty = ignore_empty
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict | None:
        """Read ``img_path`` into ``img``, ``img_shape`` and ``ori_shape``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is empty, cut off, or no image.
        """
        try:
            image = self._read(results['img_path'])
        except (FileNotFoundError, ValueError):
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> np.ndarray:
        if self.color_type == 'color':
            return read_photo(path, self.backend_args)
        return read_image(path, flag=self.color_type, backend_args=self.backend_args)
