"""A stand-in for panopticapi, which is on no package index.

Written from the definition of panoptic quality and from the names that mmdet uses, so
that mmdet's metric runs on our results.
"""

import sys
import types

import numpy as np
import pytest

from mmovseg.formats.panoptic_format import id_to_rgb, rgb_to_id


class ClassStat:
    def __init__(self):
        self.iou, self.tp, self.fp, self.fn = 0.0, 0, 0, 0

    def __iadd__(self, other):
        for name in ('iou', 'tp', 'fp', 'fn'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class PQStat:
    def __init__(self):
        self.per_class = {}

    def __getitem__(self, category):
        return self.per_class.setdefault(category, ClassStat())

    def __iadd__(self, other):
        for category, stat in other.per_class.items():
            self[category].__iadd__(stat)
        return self

    def pq_average(self, categories, isthing):
        rows, per_class = [], {}
        for category, info in categories.items():
            if isthing is not None and bool(info['isthing']) != isthing:
                continue
            stat = self[category]
            weight = stat.tp + stat.fp / 2 + stat.fn / 2
            row = (0.0, 0.0, 0.0)
            if weight:
                row = (
                    stat.iou / weight,
                    stat.iou / stat.tp if stat.tp else 0.0,
                    stat.tp / weight,
                )
                rows.append(row)
            per_class[category] = dict(zip(('pq', 'sq', 'rq'), row, strict=True))
        mean = np.mean(rows, axis=0) if rows else np.zeros(3)
        return dict(zip(('pq', 'sq', 'rq'), mean, strict=True), n=len(rows)), per_class


@pytest.fixture
def panopticapi(monkeypatch):
    """Install the stand-in where mmdet's metric has looked for the package."""
    from mmdet.evaluation.functional import panoptic_utils
    from mmdet.evaluation.metrics import coco_panoptic_metric

    api = types.ModuleType('panopticapi')
    monkeypatch.setitem(sys.modules, 'panopticapi', api)
    names = {'PQStat': PQStat, 'VOID': 0, 'rgb2id': rgb_to_id, 'id2rgb': id_to_rgb}
    for module in (coco_panoptic_metric, panoptic_utils):
        monkeypatch.setattr(module, 'panopticapi', api, raising=False)
        for name, value in names.items():
            monkeypatch.setattr(module, name, value, raising=False)
    return api
