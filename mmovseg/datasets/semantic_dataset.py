"""Photos with label maps, for classes that no dataset of mmseg names."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from mmengine import fileio, list_from_file
from mmseg.datasets import BaseSegDataset

from ..formats.image_file import EXTENSIONS
from ..registry import DATASETS
from ..vocabulary import Vocabulary


@DATASETS.register_module()
class SemanticDataset(BaseSegDataset):
    """Photos and label maps in two folders of the same structure.

    Arguments are those of ``mmseg.BaseSegDataset``. Differences to it:

    * ``metainfo=dict(classes=...)`` is a vocabulary: packaged name, ``.txt`` file or
      list. Its first names are the classes, in label order; it needs no more than
      that, however many they are.
    * No photo of the folder is left out: endings count in upper and lower case, and
      ``.jpeg`` counts as ``.jpg``. A photo of another format is an error.
    * Missing photos and label maps are reported when the dataset is loaded, and so is
      a dataset without any photo.

    Values of the maps are read by ``LoadSemanticAnnotations``, which refuses labels
    that are no class. With more than 255 classes it needs ``ignore_index=65535``.
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
            ValueError: If the folder has photos that the arguments would leave out, or
                two with the same label map.
        """
        folder, map_folder = (
            self.data_prefix.get(key) for key in ('img_path', 'seg_map_path')
        )
        photos = self._find_photos(folder, map_folder)
        stems = sorted(photos)
        if self.ann_file and not osp.isdir(self.ann_file):
            stems = self._read_stems(photos, folder)
        if not stems:
            raise FileNotFoundError(
                f'There is no *{self.img_suffix} in {folder}'
                + (f' that {self.ann_file} names.' if self.ann_file else '.')
            )
        data_list = [
            {
                'img_path': osp.join(folder, photos[stem]),
                'label_map': self.label_map,
                'reduce_zero_label': self.reduce_zero_label,
                'seg_fields': [],
                'num_classes': len(self._metainfo['classes']),
            }
            for stem in stems
        ]
        if map_folder:
            maps = self._find_maps(stems, map_folder)
            for info, name in zip(data_list, maps, strict=True):
                info['seg_map_path'] = osp.join(map_folder, name)
        return data_list

    def _list(self, folder: str, key: str) -> list[str]:
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise FileNotFoundError(f'The folder {folder} ({key}) does not exist.')
        return sorted(
            fileio.list_dir_or_file(
                folder, list_dir=False, recursive=True, backend_args=self.backend_args
            )
        )

    def _find_photos(self, folder: str, map_folder: str | None) -> dict[str, str]:
        """Map the stems of the photos to their names."""
        labels, photos, others = self.seg_map_suffix, dict[str, str](), list[str]()
        for name in self._list(folder, 'img_path'):
            ending = photo_ending(name, self.img_suffix)
            if map_folder and is_inside(osp.join(folder, name), map_folder):
                if name.endswith(labels) and len(labels) > len(ending or ''):
                    continue
                if ending is None:
                    continue
            if ending is None:
                others.append(name)
                continue
            stem = name[: -len(ending)]
            if stem in photos:
                raise ValueError(
                    f'{photos[stem]} and {name} in {folder} would have the same label '
                    'map. Remove or rename one of them.'
                )
            photos[stem] = name
        others = [x for x in others if osp.splitext(x)[1].lower() in EXTENSIONS]
        if photos and others and not self.ann_file and self.img_suffix[0] == '.':
            raise ValueError(
                f'{len(others)} image files in {folder} do not end with img_suffix='
                f'{self.img_suffix!r} and would be left out: {", ".join(others[:5])}. '
                'Convert or move them, or list the wanted photos in ann_file.'
            )
        return photos

    def _read_stems(self, photos: Iterable[str], folder: str) -> list[str]:
        if not fileio.exists(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'There is no ann_file {self.ann_file}.')
        lines = list_from_file(self.ann_file, backend_args=self.backend_args)
        stems = [line.strip() for line in lines]
        missing = [stem + self.img_suffix for stem in stems if stem not in photos]
        _refuse_missing(missing, len(stems), folder)
        return stems

    def _find_maps(self, stems: Sequence[str], folder: str) -> list[str]:
        """Find the label map of every photo, whatever the case of its ending."""
        present: dict[str, str] = {}
        for name in self._list(folder, 'seg_map_path'):
            ending = photo_ending(name, self.seg_map_suffix)
            if ending is not None:
                present.setdefault(name[: -len(ending)], name)
                if ending == self.seg_map_suffix:
                    present[name[: -len(ending)]] = name
        missing = [stem + self.seg_map_suffix for stem in stems if stem not in present]
        _refuse_missing(missing, len(stems), folder)
        return [present[stem] for stem in stems]


def photo_ending(name: str, suffix: str) -> str | None:
    """Give the part of a file name that stands for a suffix, in any case.

    ``.jpeg`` stands for ``.jpg`` and ``.tiff`` for ``.tif``, and the other way round.

    Returns:
        The ending as the name has it; None if there is none.
    """
    kin = {suffix.lower()}
    for pair in (('.jpg', '.jpeg'), ('.tif', '.tiff')):
        for one, other in (pair, pair[::-1]):
            if suffix.lower().endswith(one):
                kin.add(suffix.lower().removesuffix(one) + other)
    for ending in kin:
        if name.lower().endswith(ending):
            return name[len(name) - len(ending) :]
    return None


def is_inside(path: str, folder: str) -> bool:
    """Whether a file is somewhere in a folder."""
    return osp.normpath(path).startswith(osp.join(osp.normpath(folder), ''))


def _refuse_missing(missing: Sequence[str], total: int, folder: str) -> None:
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {total} files are missing in {folder}: '
            + ', '.join(missing[:5])
            + (', ...' if len(missing) > 5 else '')
        )
