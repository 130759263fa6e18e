"""Cityscapes with its panoptic JSON, which names photos that do not exist."""

from __future__ import annotations

import os.path as osp

from ..formats.panoptic_format import PanopticAnnotations, PanopticImage
from ..registry import DATASETS
from .panoptic_dataset import PanopticDataset


@DATASETS.register_module()
class CityscapesPanopticDataset(PanopticDataset):
    """Cityscapes, gtFine, in the official panoptic format.

    ``createPanopticImgs`` of cityscapesscripts (and our converter, which writes the
    same) leaves the folder of the city out of the file names and calls photos
    ``*_gtFine_leftImg8bit.png``. Here the photo follows from the image id:
    ``frankfurt_000000_000294`` is
    ``frankfurt/frankfurt_000000_000294_leftImg8bit.png``. Arguments are those of
    :class:`PanopticDataset`.
    """

    def _parse_image(
        self, image: PanopticImage, annotations: PanopticAnnotations
    ) -> dict:
        info = super()._parse_image(image, annotations)
        stem = str(image.id)
        city = stem.split('_')[0]
        info['img_path'] = osp.join(
            self.data_prefix.get('img', ''), city, f'{stem}_leftImg8bit.png'
        )
        return info
