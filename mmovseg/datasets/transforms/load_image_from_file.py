"""Load an image, or say which file is broken."""

from __future__ import annotations

import mmcv.transforms
import numpy as np

from ...registry import TRANSFORMS
from ..image_file import read_image, read_photo


@TRANSFORMS.register_module()
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """``mmcv.LoadImageFromFile`` that reads photos as the inferencer does.

    With ``color_type='color'``, the default, :func:`read_photo` reads the file: with
    transparency on white, 16 bits scaled to 8. Other types are mmcv's. Errors name the
    file, and a JPEG or PNG that is cut off is refused; the decoder would fill the rest
    with gray. Arguments and result fields are mmcv's.
    """

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
        return read_image(
            path,
            flag=self.color_type,
            backend=self.imdecode_backend,
            backend_args=self.backend_args,
        )
