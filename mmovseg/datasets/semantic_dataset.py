"""Photos with label maps, for classes that no data set of mmseg names."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping
from typing import ClassVar

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from ..registry import DATASETS
from ..vocabulary import Vocabulary


@DATASETS.register_module()
class SemanticDataset(BaseSegDataset):
    """Photos and label maps in two folders of the same structure.

    Arguments are those of ``mmseg.BaseSegDataset``. Differences to it:

    * ``metainfo=dict(classes=...)`` is a vocabulary: packaged name, ``.txt`` file or
      list. Its first names are the classes, in label order; it needs no more than
      that, however many they are.
    * Missing photos and label maps are reported when the data set is loaded, and so is
      a data set without any photo.

    Values of the maps are read by ``LoadSemanticAnnotations``; with more than 255
    classes it needs ``ignore_index=65535``.
    """

    METAINFO: ClassVar[dict] = {}  # everything comes from the arguments

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        """Replace the vocabulary by the names of its classes.

        Raises:
            ValueError: If there are no classes, or they are no vocabulary.
        """
        classes = (metainfo or {}).get('classes')
        if classes is None:
            raise ValueError(
                'SemanticDataset needs metainfo=dict(classes=...): a packaged '
                f'vocabulary, a .txt file or a list of names; got metainfo={metainfo}.'
            )
        names = Vocabulary.load(classes).names
        return super()._load_metainfo({**(metainfo or {}), 'classes': names})

    def load_data_list(self) -> list[dict]:
        """List photos and maps.

        Raises:
            FileNotFoundError: If there is no photo, or files are missing.
        """
        data_list = super().load_data_list()
        if not data_list:
            raise FileNotFoundError(
                f'There is no *{self.img_suffix} in {self.data_prefix["img_path"]}'
                + (f' that {self.ann_file} names.' if self.ann_file else '.')
            )
        if self.ann_file:
            self._check('img_path', (info['img_path'] for info in data_list))
        if self.data_prefix.get('seg_map_path'):
            self._check('seg_map_path', (info['seg_map_path'] for info in data_list))
        return data_list

    def _check(self, key: str, paths: Iterable[str]) -> None:
        folder = self.data_prefix[key]
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise FileNotFoundError(f'The folder {folder} ({key}) does not exist.')
        present = set(
            fileio.list_dir_or_file(
                folder, list_dir=False, recursive=True, backend_args=self.backend_args
            )
        )
        paths = list(paths)
        missing = [
            name
            for name in (osp.relpath(path, folder) for path in paths)
            if name not in present
        ]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(paths)} files are missing in {folder}: '
                + ', '.join(missing[:5])
                + (', ...' if len(missing) > 5 else '')
            )
