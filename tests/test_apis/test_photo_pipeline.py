import threading

import numpy as np
from mmcv.transforms import BaseTransform

from mmovseg.apis import photo_stream
from mmovseg.apis.output_folder import make_names
from mmovseg.apis.photo_pipeline import PhotoPipeline
from mmovseg.registry import TRANSFORMS


def load_photos(sources, *args, **options):
    names = make_names(sources)
    return photo_stream.load_photos(sources, names, *args, **options)


def test_transforms_that_keep_numbers_do_not_mix_photos(monkeypatch):
    """Like mmseg's ResizeShortestEdge, which sets a scale and then resizes by it."""
    both = threading.Barrier(2, timeout=60)

    class Remember(BaseTransform):
        def transform(self, results):
            self.width = results['img_shape'][1]
            both.wait()  # until both photos are here
            return dict(inputs=self.width)

    monkeypatch.setitem(TRANSFORMS.module_dict, 'Remember', Remember)
    pipeline = PhotoPipeline([dict(type='LoadImage'), dict(type='Remember')])
    photos = [np.zeros((2, width, 3), np.uint8) for width in (3, 5)]
    loaded = load_photos(photos, pipeline, ahead=2, num_workers=2)
    assert [x.data['inputs'] for x in loaded] == [3, 5]
