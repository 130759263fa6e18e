"""Panoptic datasets in COCO format, classes as the annotation file has them."""

from __future__ import annotations

import logging
import os.path as osp
import warnings
from collections.abc import Mapping, Sequence
from typing import ClassVar

from mmdet.datasets import CocoPanopticDataset
from mmengine import fileio
from mmengine.logging import print_log

from ..formats.panoptic_format import PanopticAnnotations, PanopticImage
from ..registry import DATASETS
from ..vocabulary import Vocabulary


@DATASETS.register_module()
class PanopticDataset(CocoPanopticDataset):
    """COCO-format panoptic dataset whose classes come from the JSON.

    Names, order and thing flags are those of the JSON's ``categories``, so one class
    serves COCO, ADE20K in official order, and any set of one's own. Differences to
    ``mmdet.CocoPanopticDataset``, whose arguments it takes:

    * ``metainfo`` has ``classes``, ``thing_classes``, ``stuff_classes``, ``is_thing``
      and ``category_ids`` in label order, and ``palette`` if categories have colors.
    * Segments with a box narrower than a pixel are kept (the loading transform takes
      boxes from the masks), and the PNG is found under the annotation's file name.
    * ``filter_cfg=dict(filter_empty_gt=True)`` drops images without any segment to
      learn from, not images without things.
    * Missing PNGs are reported when the dataset is loaded.
    * ``data_prefix=dict(sem_seg=...)`` is a folder of label maps with the names of the
      panoptic PNGs; ``sem_seg_map_path`` of a sample is its file. ADE20K's mIoU counts
      them (``LoadSemanticAnnotations``), not the panoptic PNGs.
    * ``metainfo=dict(vocabulary=...)`` (packaged name, ``.txt`` file or list) is what a
      model calls the classes. A JSON that numbers them in another way is refused,
      which the thing flags tell: mmdet's converter of ADE20K puts things first, so
      that "wall" would silently become "bed".

    Every sample has ``ignore_index``, the value of unlabeled pixels in the semantic
    map: 255, or 65535 where 255 is a class.
    """

    METAINFO: ClassVar[dict] = {}  # everything comes from the JSON

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        """Keep the vocabulary from being taken for a list in a file."""
        rest = {k: v for k, v in (metainfo or {}).items() if k != 'vocabulary'}
        result = super()._load_metainfo(rest)
        if metainfo and 'vocabulary' in metainfo:
            result['vocabulary'] = metainfo['vocabulary']
        return result

    def load_data_list(self) -> list[dict]:
        """Read the JSON; see the class for what is checked.

        Raises:
            FileNotFoundError: If PNGs are missing.
            ValueError: If the file is no panoptic JSON, contradicts itself, or does
                not number its classes like the vocabulary.
        """
        annotations = PanopticAnnotations.load(self.ann_file, self.backend_args)
        self._check_vocabulary(annotations)
        self.cat_ids = list(annotations.labels)
        self.cat2label = annotations.labels
        self._set_classes(annotations)
        for folder in (self.data_prefix.get('seg'), self.data_prefix.get('sem_seg')):
            if folder:
                self._check_pngs(annotations, folder)
        data_list = [
            self._parse_image(image, annotations)
            for image in annotations.images.values()
        ]
        if not (self.test_mode or any(map(self._has_target, data_list))):
            print_log(
                f'{self.ann_file} teaches nothing: none of its {len(data_list)} images '
                'has a segment that is no crowd.',
                logger='current',
                level=logging.WARNING,
            )
        return data_list

    def _set_classes(self, annotations: PanopticAnnotations) -> None:
        names, is_thing = annotations.names, annotations.is_thing
        wanted = self._metainfo.get('classes')
        if wanted is not None and tuple(wanted) != names:
            warnings.warn(
                f'metainfo names {len(wanted)} classes that are not the {len(names)} '
                f'categories of {self.ann_file}, in its order; the file counts.',
                stacklevel=2,
            )
        self._metainfo.update(
            classes=names,
            thing_classes=tuple(n for n, t in zip(names, is_thing, strict=True) if t),
            stuff_classes=tuple(
                n for n, t in zip(names, is_thing, strict=True) if not t
            ),
            is_thing=is_thing,
            category_ids=tuple(annotations.labels),
        )
        if all('color' in cat for cat in annotations.categories):
            self._metainfo['palette'] = [
                tuple(cat['color']) for cat in annotations.categories
            ]

    def _check_vocabulary(self, annotations: PanopticAnnotations) -> None:
        if self._metainfo.get('vocabulary') is not None:
            vocabulary = Vocabulary.load(self._metainfo['vocabulary'])
            self._compare(vocabulary, annotations.names, annotations.is_thing)

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Check that a model calls things what the JSON calls things.

        A class that is stuff here and a thing in the vocabulary is never learned.

        Raises:
            ValueError: If number or thing flags of the classes differ.
        """
        self._compare(vocabulary, self.metainfo['classes'], self.metainfo['is_thing'])

    def _compare(
        self, vocabulary: Vocabulary, names: Sequence[str], theirs: tuple[bool, ...]
    ) -> None:
        ours = vocabulary.is_thing
        if ours == theirs:
            return
        message = (
            f'{self.ann_file} does not fit the vocabulary: {len(theirs)} categories, '
            f'{sum(theirs)} of them things, against {len(ours)} and {sum(ours)}.'
        )
        if len(ours) == len(theirs):
            first = next(i for i, flag in enumerate(ours) if flag != theirs[i])
            kinds = ('stuff', 'a thing')
            message += (
                f' Label {first} is {names[first]!r} '
                f'({kinds[theirs[first]]}) there and {vocabulary.names[first]!r} '
                f'({kinds[ours[first]]}) here.'
            )
        if sorted(ours, reverse=True) == list(theirs):
            message += (
                " The file puts things first, as mmdet's converters do. For ADE20K, "
                'make it with tools/dataset_converters/ade20k_panoptic.py.'
            )
        raise ValueError(message)

    def _check_pngs(self, annotations: PanopticAnnotations, folder: str) -> None:
        if not fileio.isdir(folder, backend_args=self.backend_args):
            raise FileNotFoundError(
                f'{self.ann_file} needs the PNG folder {folder}, which does not exist.'
            )
        present = set(
            fileio.list_dir_or_file(
                folder, list_dir=False, recursive=True, backend_args=self.backend_args
            )
        )
        missing = [
            image.png_name
            for image in annotations.images.values()
            if image.png_name not in present
        ]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(annotations.images)} PNGs that '
                f'{self.ann_file} tells of are missing in {folder}: '
                + ', '.join(missing[:5])
                + (', ...' if len(missing) > 5 else '')
            )

    def _parse_image(
        self, image: PanopticImage, annotations: PanopticAnnotations
    ) -> dict:
        is_thing = annotations.is_thing
        instances, segments = [], []
        for segment in image.segments:
            label = annotations.labels[segment['category_id']]
            target = is_thing[label] and not segment.get('iscrowd', 0)
            segments.append(
                {'id': segment['id'], 'category': label, 'is_thing': target}
            )
            if target:
                x, y, w, h = segment.get('bbox', (0, 0, image.width, image.height))
                instances.append(
                    {
                        'bbox': [x, y, x + w, y + h],
                        'bbox_label': label,
                        'ignore_flag': 0,
                    }
                )
        maps = {
            key: osp.join(folder, image.png_name) if folder else None
            for key, folder in (
                ('seg_map_path', self.data_prefix.get('seg')),
                ('sem_seg_map_path', self.data_prefix.get('sem_seg')),
            )
        }
        return {
            'img_path': osp.join(self.data_prefix.get('img', ''), image.file_name),
            'img_id': image.id,
            **maps,
            'height': image.height,
            'width': image.width,
            'instances': instances,
            'segments_info': segments,
            'ignore_index': 255 if len(is_thing) <= 255 else 65535,
        }

    def filter_data(self) -> list[dict]:
        """Drop the images that ``filter_cfg`` excludes (training only).

        Images without things stay: their stuff is worth learning.
        """
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        min_size = self.filter_cfg.get('min_size', 0)
        need_segments = self.filter_cfg.get('filter_empty_gt', False)
        kept = [
            info
            for info in self.data_list
            if min(info['height'], info['width']) >= min_size
            and not (need_segments and not self._has_target(info))
        ]
        if self.data_list and not kept:
            raise ValueError(
                f'filter_cfg={self.filter_cfg} drops all {len(self.data_list)} images '
                f'of {self.ann_file}: they are too small, or their segments are crowds.'
            )
        return kept

    def _has_target(self, info: dict) -> bool:
        """Whether a segment is stuff or a thing that is not a crowd."""
        is_thing = self._metainfo['is_thing']
        return any(
            seg['is_thing'] or not is_thing[seg['category']]
            for seg in info['segments_info']
        )
