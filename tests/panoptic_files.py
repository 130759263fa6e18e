"""Small panoptic data sets on disk, for tests."""

import json
from pathlib import Path

import mmcv
import numpy as np

from mmovseg.formats.panoptic_format import id_to_rgb

# Stuff first and ids with gaps: neither "things first" nor "id = label + 1" holds.
CATEGORIES = (
    {'id': 7, 'name': 'wall', 'isthing': 0, 'color': [10, 10, 10]},
    {'id': 3, 'name': 'dog', 'isthing': 1, 'color': [20, 20, 20]},
    {'id': 90, 'name': 'sky', 'isthing': 0, 'color': [30, 30, 30]},
    {'id': 12, 'name': 'kite', 'isthing': 1, 'color': [40, 40, 40]},
)


def segment(segment_id, category_id, *, iscrowd=0, bbox=(0, 0, 1, 1)):
    return {
        'id': segment_id,
        'category_id': category_id,
        'iscrowd': iscrowd,
        'bbox': list(bbox),
        'area': 1,
    }


def write_dataset(root, images, categories=CATEGORIES):
    """Write ``{stem: (ids [H, W], segments)}`` in COCO layout; give its paths.

    Photos are noise. The areas of the segments are filled in.
    """
    root = Path(root)
    pngs = root / 'annotations' / 'panoptic_val'
    infos, annotations = [], []
    for number, (stem, (ids, segments)) in enumerate(images.items()):
        ids = np.asarray(ids)
        height, width = ids.shape
        photo = np.random.RandomState(number).randint(0, 255, (height, width, 3))
        mmcv.imwrite(photo.astype(np.uint8), str(root / 'val' / f'{stem}.jpg'))
        mmcv.imwrite(id_to_rgb(ids)[..., ::-1], str(pngs / f'{stem}.png'))
        for entry in segments:
            entry['area'] = int((ids == entry['id']).sum())
        infos.append(
            {
                'id': number + 100,
                'file_name': f'{stem}.jpg',
                'height': height,
                'width': width,
            }
        )
        annotations.append(
            {
                'image_id': number + 100,
                'file_name': f'{stem}.png',
                'segments_info': segments,
            }
        )
    content = {
        'images': infos,
        'annotations': annotations,
        'categories': list(categories),
    }
    path = root / 'annotations' / 'panoptic_val.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return {'ann_file': str(path), 'seg_prefix': str(pngs)}


def dataset_config(root, pipeline=(), **changes):
    """Configure the data set that :func:`write_dataset` wrote."""
    return {
        'ann_file': 'annotations/panoptic_val.json',
        'data_root': str(root),
        'data_prefix': {'img': 'val/', 'seg': 'annotations/panoptic_val/'},
        'pipeline': list(pipeline),
        **changes,
    }
