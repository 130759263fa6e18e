"""Load label maps of any coding and any number of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..formats.label_map_file import read_label_map
from ..registry import TRANSFORMS
from .base_transform import BaseTransform


@TRANSFORMS.register_module()
class LoadSemanticAnnotations(BaseTransform):
    """Turn a label file into a map of classes.

    Differs from ``mmseg.LoadAnnotations`` in what it understands and refuses:
    ``class_values`` decodes files as they are published, without a prepared copy;
    values of 16 bits survive (mmseg casts to 8); broken files, color images and maps
    of another size than the image are named. :func:`read_label_map` reads the file.
    A label that is no class of a :class:`SemanticDataset` is refused.

    Results get ``gt_seg_map``, ``[H, W]``, uint8 where ``ignore_index`` fits into it
    and int32 else (which mmcv's and mmseg's transforms take), and its name in
    ``seg_fields``.

    A dataset of mmseg with a subset of its classes (``metainfo``) is followed, and so
    is its ``reduce_zero_label`` unless ``class_values`` replaces it. A sample without
    the path of a label file passes unchanged.

    Args:
        class_values: Value of every class in the file, in label order; others are
            ignored. None: the value is the label.
        ignore_index: What unlabeled pixels get. The files' own is 255 or 65535, which
            is no class of theirs; name it here too where there is no ``class_values``.
        path_key: Entry of the results that names the file.
        backend_args: Storage backend, as in ``mmengine.fileio.get``.

    Raises:
        ValueError: If ``class_values`` has a value twice or negative, or reaches up to
            ``ignore_index`` in length.
    """

    def __init__(
        self,
        class_values: Sequence[int] | None = None,
        ignore_index: int = 255,
        *,
        path_key: str = 'seg_map_path',
        backend_args: dict | None = None,
    ) -> None:
        if class_values is not None:
            class_values = tuple(class_values)
            if len(set(class_values)) < len(class_values) or min(class_values) < 0:
                raise ValueError(
                    f'class_values must be distinct and at least 0, got {class_values}.'
                )
            if len(class_values) > ignore_index:
                raise ValueError(
                    f'{len(class_values)} classes need an ignore_index of at least '
                    f'that, got {ignore_index}.'
                )
        self.class_values = class_values
        self.ignore_index = ignore_index
        self.path_key = path_key
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        """Read the file into ``gt_seg_map``.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is broken, in color, not as large as the image, or
                has labels beyond 255 without an ``ignore_index`` that does, or labels
                that are no class; or if the dataset contradicts the arguments.
        """
        path = results.get(self.path_key)
        if path is None:
            return results
        values = read_label_map(path, self.backend_args)
        size = tuple(results.get('ori_shape', values.shape))
        if values.shape != size:
            raise ValueError(
                f'The label map {path} is {values.shape} (height, width), but the '
                f'image {results.get("img_path")} is {size}.'
            )
        largest = int(values.max())
        if self.class_values is None and largest > 255 >= self.ignore_index:
            raise ValueError(
                f'The label map {path} has the value {largest}; such maps need an '
                'ignore_index above all classes, such as 65535.'
            )
        labels = self._table(results, largest)[values]
        self._check_labels(results, labels)
        results['gt_seg_map'] = labels
        fields = results.setdefault('seg_fields', [])
        if 'gt_seg_map' not in fields:  # mmseg crops as often as it is listed
            fields.append('gt_seg_map')
        return results

    def _check_labels(self, results: dict, labels: np.ndarray) -> None:
        """Refuse labels that are no class, if the dataset says how many it has."""
        num_classes = results.get('num_classes')
        if num_classes is None or self.class_values is not None:
            return
        if num_classes > self.ignore_index:
            raise ValueError(
                f'The dataset has {num_classes} classes, which need an ignore_index of '
                f'at least that, such as 65535, got {self.ignore_index}.'
            )
        counts = np.bincount(labels.ravel(), minlength=num_classes)[num_classes:]
        found = (np.flatnonzero(counts) + num_classes).tolist()
        strange = [label for label in found if label != self.ignore_index]
        if strange:
            raise ValueError(
                f'The label map {results[self.path_key]} has labels that are neither '
                f'one of the {num_classes} classes nor {self.ignore_index} (ignored): '
                f'{strange[:8]}. class_values says which values are classes.'
            )

    def _table(self, results: dict, largest: int) -> np.ndarray:
        """Make the table from values in the file to labels."""
        table = np.full(
            max(largest, 255, *(self.class_values or ())) + 1, self.ignore_index
        )
        if self.class_values is not None:
            if results.get('reduce_zero_label'):
                raise ValueError(
                    'The dataset has reduce_zero_label=True, and class_values says '
                    'what 0 is; set reduce_zero_label=False there.'
                )
            table[list(self.class_values)] = np.arange(len(self.class_values))
        elif results.get('reduce_zero_label'):
            table[1:] = np.arange(len(table) - 1)
            table[self.ignore_index :] = self.ignore_index  # 255 stays what it is
        else:
            table[:] = np.arange(len(table))
        label_map = results.get('label_map')
        if label_map is not None:
            if self.ignore_index != 255:
                raise ValueError(
                    "mmseg's label_map ignores by the value 255, got ignore_index="
                    f'{self.ignore_index}; use KeepSeenClasses instead.'
                )
            own = table.copy()
            for old, new in label_map.items():
                table[own == old] = new
        return table.astype(np.uint8 if self.ignore_index <= 255 else np.int32)
