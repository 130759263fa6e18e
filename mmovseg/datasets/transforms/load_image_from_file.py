"""Load an image, or say which file is broken."""

from __future__ import annotations

import mmcv.transforms
import numpy as np

from ...registry import TRANSFORMS
from ..image_file import read_image


@TRANSFORMS.register_module()
class LoadImageFromFile(mmcv.transforms.LoadImageFromFile):
    """``mmcv.LoadImageFromFile`` whose errors name the file.

    It also refuses a JPEG or PNG that is cut off; the decoder would fill the rest
    with grey. Arguments and result fields are mmcv's.
    """

    def transform(self, results: dict) -> dict | None:
        """Read ``img_path`` into ``img``, ``img_shape`` and ``ori_shape``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is empty, cut off, or no image.
        """
        try:
            image = read_image(
                results['img_path'],
                flag=self.color_type,
                backend=self.imdecode_backend,
                backend_args=self.backend_args,
            )
        except (FileNotFoundError, ValueError):
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = image.shape[:2]
        results['ori_shape'] = image.shape[:2]
        return results
