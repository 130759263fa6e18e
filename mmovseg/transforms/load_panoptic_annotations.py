"""Load panoptic labels without panopticapi."""

from __future__ import annotations

import numpy as np

from ..formats.panoptic_format import read_segment_ids, split_segments
from ..openmmlab import import_openmmlab
from ..registry import TRANSFORMS
from .base_transform import BaseTransform


@TRANSFORMS.register_module()
class LoadPanopticAnnotations(BaseTransform):
    """Turn a panoptic PNG into thing masks, their boxes, and a semantic map.

    The result fields are those of ``mmdet.LoadPanopticAnnotations``:

    * ``gt_masks``: BitmapMasks of the things that are no crowds, in the order of
      ``segments_info``; ``gt_bboxes`` (their tight boxes: the JSON's boxes are wrong
      in some converted sets), ``gt_bboxes_labels``, ``gt_ignore_flags`` go with them.
    * ``gt_seg_map``: ``[H, W]`` int32, the class of every pixel, crowds included;
      ``ignore_index`` where there is none. That is what the dataset says (65535
      where 255 is a class; the padding value of a pipeline must follow), else 255.

    A sample without ``seg_map_path`` passes unchanged.

    Args:
        with_bbox: Whether to give boxes and ``gt_ignore_flags``.
        with_label: Whether to give the labels of the boxes.
        with_mask: Whether to give masks.
        with_seg: Whether to give the semantic map. Alone it does without mmdet.
        box_type: Box class of mmdet; None for a plain array.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Raises:
        MissingPackageError: If masks or boxes are wanted and mmdet is not installed.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        *,
        with_mask: bool = True,
        with_seg: bool = True,
        box_type: str | None = 'hbox',
        backend_args: dict | None = None,
    ) -> None:
        self.with_bbox, self.with_label = with_bbox, with_label
        self.with_mask, self.with_seg = with_mask, with_seg
        self.box_type = box_type
        self.backend_args = backend_args
        if with_bbox or with_mask:
            import_openmmlab(
                'mmdet.structures.bbox',
                'mmdet.structures.mask',
                need='LoadPanopticAnnotations with masks and boxes needs',
            )

    def transform(self, results: dict) -> dict:
        """Read the PNG and add the fields named in the class.

        Raises:
            FileNotFoundError: If the PNG is missing.
            ValueError: If the PNG is broken, is not as large as the image, or has
                not exactly the segments of ``segments_info``.
        """
        path = results.get('seg_map_path')
        if path is None:
            return results
        ids = read_segment_ids(path, self.backend_args)
        size = results.get('ori_shape', (results['height'], results['width']))
        if ids.shape != tuple(size):
            raise ValueError(
                f'Panoptic PNG {path} is {ids.shape} (height, width), but the image '
                f'{results.get("img_path")} is {tuple(size)}.'
            )
        told = results.get('height', size[0]), results.get('width', size[1])
        if ids.shape != told:
            raise ValueError(
                f'Panoptic PNG {path} is {ids.shape} (height, width), but its JSON '
                f'says {told}.'
            )
        masks, labels, seg_map = self._split(ids, results)
        if self.with_bbox or self.with_mask:
            self._add_instances(results, masks, ids.shape)
        if self.with_label:
            results['gt_bboxes_labels'] = np.array(labels, dtype=np.int64)
        if self.with_seg:
            results['gt_seg_map'] = seg_map
        return results

    def _add_instances(
        self, results: dict, masks: list[np.ndarray], size: tuple[int, ...]
    ) -> None:
        """Add masks and boxes, as mmdet's classes."""
        from mmdet.structures.bbox import get_box_type
        from mmdet.structures.mask import BitmapMasks

        bitmaps = BitmapMasks(masks, *size)
        if self.with_bbox:
            # Plain type first: mmdet's box classes do not take the empty array.
            _, boxes = get_box_type(self.box_type or 'hbox')
            boxes = bitmaps.get_bboxes(boxes)
            results['gt_bboxes'] = boxes if self.box_type else boxes.tensor.numpy()
            results['gt_ignore_flags'] = np.zeros(len(masks), dtype=bool)
        if self.with_mask:
            results['gt_masks'] = bitmaps

    def _split(
        self, ids: np.ndarray, results: dict
    ) -> tuple[list[np.ndarray], list[int], np.ndarray]:
        """Cut the id map into thing masks, their labels, and the semantic map."""
        ignore_index = results.get('ignore_index', 255)
        path, segments = results['seg_map_path'], results['segments_info']
        masks, labels = [], []
        seg_map = np.full(ids.shape, ignore_index, np.int32)
        parts = split_segments(path, ids, [segment['id'] for segment in segments])
        for mask, segment in zip(parts, segments, strict=True):
            if segment['category'] >= ignore_index:
                raise ValueError(
                    f'{path}: class {segment["category"]} is not below the ignored '
                    f'value {ignore_index}; load such a set with '
                    'mmovseg.PanopticDataset, which chooses a larger one.'
                )
            seg_map[mask] = segment['category']
            if segment['is_thing']:
                masks.append(mask.view(np.uint8))
                labels.append(segment['category'])
        return masks, labels, seg_map
