"""Training pictures of ShapeWorld that are drawn when they are needed."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch.utils.data import Dataset

from mmovseg.registry import DATASETS
from mmovseg.shapeworld.drawing import CLASSES, STUFF, draw_numbered
from mmovseg.vocabulary import Vocabulary

IGNORED = 255  # in the label map, where a thing is


class Stage(NamedTuple):
    """A part of the pictures.

    Attributes:
        count: Their number, a multiple of the batch size.
        drawn: Heights and widths that they are drawn with in turns, in pixels.
        shown: Height and width that the network gets.
    """

    count: int
    drawn: Sequence[int]
    shown: int


@DATASETS.register_module()
class DrawnDataset(Dataset):
    """Pictures of seen classes, no two alike, as a stream without end needs them.

    No picture is shown twice, so nothing is augmented and nothing can be learned by
    heart. A sampler without shuffling keeps the order of the stages.

    Args:
        stages: ``(count, drawn, shown)`` of each :class:`Stage`, in order.
        seed: Of the pictures; another one than those of all evaluations.
        vocabulary: Of the classes that pictures show, seen ones alone.
    """

    def __init__(
        self,
        stages: Sequence[tuple[int, Sequence[int], int]],
        seed: int,
        vocabulary: str | Sequence[str] = 'shapeworld_seen',
    ) -> None:
        self.stages = [Stage(*stage) for stage in stages]
        self.ends = list(itertools.accumulate(stage.count for stage in self.stages))
        self.seed = seed
        self.classes = Vocabulary.load(vocabulary).names
        self.metainfo = dict(classes=self.classes, vocabulary=vocabulary, seed=seed)

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a picture, BGR, and its annotation."""
        stage = self.stages[bisect.bisect_right(self.ends, index)]
        drawn = stage.drawn[index % len(stage.drawn)]
        sample = draw_numbered(self.seed, 'train', index, drawn, classes=self.classes)
        size = stage.shown, stage.shown
        image = cv2.resize(sample.image, size, interpolation=cv2.INTER_LINEAR)
        segments = cv2.resize(
            sample.segments.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST
        )
        labels = [self.classes.index(CLASSES[label]) for label in sample.labels]
        is_thing = [label >= len(STUFF) for label in sample.labels]
        things = [number for number, thing in enumerate(is_thing) if thing]
        table = np.array(
            [IGNORED if x else y for x, y in zip(is_thing, labels, strict=True)]
        )
        data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
        masks = segments[None] == np.array(things).reshape(-1, 1, 1)
        data.gt_instances = InstanceData(
            labels=torch.tensor([labels[x] for x in things], dtype=torch.int64),
            masks=torch.from_numpy(masks),
        )
        data.gt_sem_seg = PixelData(
            metainfo=dict(ignore_index=IGNORED),
            sem_seg=torch.from_numpy(table[segments][None]),
        )
        bgr = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
        return dict(inputs=torch.from_numpy(bgr), data_samples=data)
