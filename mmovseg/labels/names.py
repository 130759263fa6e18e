"""The formats of labels, by name; standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple


class Format(NamedTuple):
    """A format of labels.

    Attributes:
        title: What it is, for people.
        module: Where it is written, below this package.
        function: Its function.
        per_photo: Whether each photo has a file, named after it without its ending.
    """

    title: str
    module: str
    function: str = 'write'
    per_photo: bool = False


#: The formats, by the name that `--format` takes.
FORMATS = {
    'coco': Format('COCO instances, masks as RLE', 'coco_instances'),
    'coco-polygons': Format(
        'COCO instances, masks as polygons', 'coco_instances', 'write_polygons'
    ),
    'coco-panoptic': Format('COCO panoptic', 'coco_panoptic', per_photo=True),
    'yolo': Format('YOLO segmentation', 'yolo', per_photo=True),
    'labelme': Format('labelme', 'labelme', per_photo=True),
    'label-studio': Format('Label Studio predictions', 'label_studio'),
    'cvat': Format('CVAT for images 1.1', 'cvat'),
    'voc': Format('Pascal VOC PNGs', 'voc', per_photo=True),
    'ade': Format('ADE20K PNGs', 'ade', per_photo=True),
    'cityscapes': Format('Cityscapes ids', 'cityscapes', per_photo=True),
}


def check_names(file_names: Iterable[str]) -> None:
    """Check that no two photos have the same name but for the ending.

    Args:
        file_names: Paths of photos, with ``/``, from the folder of all photos.

    Raises:
        ValueError: If two have, since their files would be the same.
    """
    seen: dict[str, str] = {}
    for name in file_names:
        other = seen.setdefault(photo_stem(name).casefold(), name)
        if other != name:
            raise ValueError(
                f'The photos {other} and {name} would share a label file: rename one '
                'of them.'
            )


def photo_stem(file_name: str) -> str:
    """Return the path of a photo without its ending; its files are named after it."""
    return str(PurePosixPath(file_name).with_suffix(''))
