"""Photos for the inferencers of other packages."""

from __future__ import annotations

import numpy as np

from ..formats.image_file import array_to_bgr, read_photo
from ..registry import TRANSFORMS
from .base_transform import BaseTransform


@TRANSFORMS.register_module(name=['InferencerLoader', 'LoadImageFromNDArray'])
class InferencerLoader(BaseTransform):
    """Take a path or an array, as ``mmseg.InferencerLoader`` does.

    mmseg's ``MMSegInferencer`` puts this type in the place of ``LoadImageFromFile``,
    and its ``inference_model`` ``LoadImageFromNDArray``, which is the same here.

    Args:
        options: What the config gives ``LoadImageFromFile``; only its defaults.

    Raises:
        ValueError: If an option is given.
    """

    def __init__(self, **options: object) -> None:
        if options:
            raise ValueError(f'InferencerLoader takes no options, got {options}.')

    def transform(self, results: dict | str | np.ndarray) -> dict:
        """Make ``img``, ``img_shape`` and ``ori_shape`` of a path, an array or both.

        Args:
            results: A path, an array (BGR; see :func:`array_to_bgr`), or results with
                ``img`` or ``img_path``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no image.
        """
        if isinstance(results, (str, np.ndarray)):
            key = 'img_path' if isinstance(results, str) else 'img'
            results = {key: results}
        if 'img' in results:
            image = array_to_bgr(results['img'])
        else:
            image = read_photo(results['img_path'])
        shape = image.shape[:2]
        return dict(results, img=image, img_shape=shape, ori_shape=shape)
