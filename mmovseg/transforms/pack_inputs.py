"""The end of a pipeline without mmdet and mmseg."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.structures import BaseDataElement, PixelData

from ..registry import TRANSFORMS
from .base_transform import BaseTransform
from .resize import INSTANCES


@TRANSFORMS.register_module()
class PackInputs(BaseTransform):
    """Make the model's input and a data sample of MMEngine.

    A label map becomes ``gt_sem_seg``: ``sem_seg`` for mmdet and ``data`` for mmseg,
    which are one tensor. Boxes and masks of instances are refused: a training with them
    needs ``mmdet.PackDetInputs``.

    Args:
        meta_keys: Results that the data sample keeps, where they are.
    """

    def __init__(
        self,
        meta_keys: Sequence[str] = (
            *('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
            *('flip', 'flip_direction'),
        ),
    ) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Return ``inputs``, uint8 ``[3, H, W]``, and ``data_samples``.

        Raises:
            ValueError: If there are boxes, masks or key points.
        """
        if found := [key for key in INSTANCES if results.get(key) is not None]:
            raise ValueError(
                f'PackInputs packs images and label maps, not {", ".join(found)}: take '
                "type='mmdet.PackDetInputs'."
            )
        image = results['img']
        image = image[..., None] if image.ndim == 2 else image
        inputs = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        sample = BaseDataElement(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if 'gt_seg_map' in results:
            array = np.ascontiguousarray(results['gt_seg_map'])[None]
            label_map = torch.from_numpy(array)
            truth = PixelData(sem_seg=label_map, data=label_map)
            if 'ignore_index' in results:
                truth.set_metainfo(dict(ignore_index=results['ignore_index']))
            sample.gt_sem_seg = truth
        return dict(inputs=inputs, data_samples=sample)
