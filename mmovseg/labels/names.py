"""The formats of labels, by name; standard library only."""

from __future__ import annotations

from typing import NamedTuple


class Format(NamedTuple):
    """A format of labels.

    Attributes:
        title: What it is, for people.
        module: Where it is written, below this package.
        function: Its function.
    """

    title: str
    module: str
    function: str = 'write'


#: The formats, by the name that `--format` takes.
FORMATS = {
    'coco': Format('COCO instances, masks as RLE', 'coco_instances'),
    'coco-polygons': Format(
        'COCO instances, masks as polygons', 'coco_instances', 'write_polygons'
    ),
    'coco-panoptic': Format('COCO panoptic', 'coco_panoptic'),
    'yolo': Format('YOLO segmentation', 'yolo'),
    'labelme': Format('labelme', 'labelme'),
    'label-studio': Format('Label Studio predictions', 'label_studio'),
    'cvat': Format('CVAT for images 1.1', 'cvat'),
    'voc': Format('Pascal VOC PNGs', 'voc'),
    'ade': Format('ADE20K PNGs', 'ade'),
    'cityscapes': Format('Cityscapes ids', 'cityscapes'),
}
