"""What each kind of result gathers from the strips of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from ..ops import BestClass, first_argmax, mask_area, to_device_async

if TYPE_CHECKING:
    from ...vocabulary import Vocabulary


class FusionTask:
    """What one result gathers from the strips of an image."""

    field: str
    queries: Sequence[int]

    def start(self, queries: list[int], device: torch.device) -> None:
        """Learn the order of the masks that strips will hold."""
        self.device = device
        place = {query: i for i, query in enumerate(queries)}
        places = [place[query] for query in self.queries]
        # None: every mask of a strip in its order, which saves a copy.
        self.places = None
        if places != list(range(len(queries))):
            self.places = to_device_async(places, device, torch.int64)

    def pick(self, strip: Tensor) -> Tensor:
        """Pick the masks of this task."""
        return strip if self.places is None else strip[self.places]

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Take in a strip.

        Args:
            rows: Its rows of the output.
            signed_masks: Positive where a pixel is inside a mask, ``[n, r, W]``.
            masks: Probabilities, ``[n, r, W]``.
        """
        raise NotImplementedError

    def result(self) -> BaseDataElement:
        """Return what the field of the data sample gets."""
        raise NotImplementedError


class PanopticTask(FusionTask):
    """Every pixel goes to the query with the largest mask times class score."""

    field = 'pred_panoptic_seg'

    def __init__(
        self,
        kept: list[tuple[int, int, float]],
        size: tuple[int, int],
        vocabulary: Vocabulary,
        iou_thr: float,
    ) -> None:
        self.kept, self.size = kept, size
        self.vocabulary, self.iou_thr = vocabulary, iou_thr
        self.queries = [query for query, _, _ in kept]

    def start(self, queries: list[int], device: torch.device) -> None:
        """Allocate the owner map; len(kept) stands for no owner."""
        super().start(queries, device)
        num = len(self.kept)
        scores = [score for _, _, score in self.kept]
        self.scores = to_device_async(scores, device, torch.float32).view(-1, 1, 1)
        self.owner = torch.full(
            self.size, num, dtype=torch.int32, device=device
        )  # [H, W]
        self.areas = torch.zeros(3, num, dtype=torch.int64, device=device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Assign the pixels of a strip."""
        if not self.kept:
            return
        masks = self.pick(masks)  # [n, r, W]
        winner = first_argmax(masks * self.scores)  # [r, W]
        # Not logit >= 0: the sigmoid of a tiny negative logit rounds to 0.5.
        inside = masks.gather(0, winner[None])[0] >= 0.5
        flat, ones = winner.flatten(), torch.ones_like(winner).flatten()
        area, won_area, kept_area = self.areas
        area += mask_area(masks)
        won_area.scatter_add_(0, flat, ones)
        kept_area.scatter_add_(0, flat, inside.flatten().long())
        self.owner[rows] = winner.int().masked_fill_(~inside, len(self.kept))

    def result(self) -> PixelData:
        """Decide on the host which segments stay, then code the map by a table."""
        num_classes = len(self.vocabulary.is_thing)
        divisor = label_divisor(num_classes)
        table = [num_classes] * (len(self.kept) + 1)  # owner -> id
        segments: dict[int, dict[str, Any]] = {}
        stuff_ids: dict[int, int] = {}  # label -> id
        areas = zip(*self.areas.tolist(), strict=True)
        for i, (area, won_area, kept_area) in enumerate(areas):
            _, label, score = self.kept[i]
            if not (area and won_area and kept_area):
                continue
            if won_area / area < self.iou_thr:
                continue
            is_thing = bool(self.vocabulary.is_thing[label])
            code = label + divisor * (len(segments) + 1)
            if not is_thing:
                code = stuff_ids.setdefault(label, code)
            table[i] = code
            segment = segments.setdefault(
                code,
                dict(id=code, category_id=label, isthing=is_thing, score=0.0, area=0),
            )
            segment['score'] = max(segment['score'], score)
            segment['area'] += kept_area
        largest = divisor * (len(self.kept) + 1)
        dtype = torch.int32 if largest < 2**31 else torch.int64
        codes = to_device_async(table, self.device, dtype)
        sem_seg = codes.index_select(0, self.owner.flatten()).view(1, *self.size)
        return PixelData(
            metainfo=dict(
                label_names=list(self.vocabulary.names),
                ignore_index=num_classes,
                label_divisor=divisor,
                segments_info=list(segments.values()),
            ),
            sem_seg=sem_seg,
        )


class InstanceTask(FusionTask):
    """Binary masks; the score is class score times mean mask probability inside."""

    field = 'pred_instances'

    def __init__(
        self,
        found: list[tuple[int, int, float]],
        size: tuple[int, int],
        vocabulary: Vocabulary,
    ) -> None:
        self.found, self.size, self.vocabulary = found, size, vocabulary
        # A query may stand for several classes; its mask is measured once.
        self.queries = sorted({query for query, _, _ in found})

    def start(self, queries: list[int], device: torch.device) -> None:
        """Allocate masks and sums per row (a sum per strip would depend on strips)."""
        super().start(queries, device)
        height, width = self.size
        num = len(self.queries)
        place = {query: i for i, query in enumerate(self.queries)}
        owners = [place[query] for query, _, _ in self.found]
        self.owners = to_device_async(owners, device, torch.int64)
        self.masks = torch.zeros(
            len(owners), height, width, dtype=torch.bool, device=device
        )
        self.sums = torch.zeros(num, height, device=device)
        self.counts = torch.zeros(num, height, dtype=torch.int32, device=device)
        self.columns = torch.zeros(num, width, dtype=torch.bool, device=device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Measure the masks of a strip."""
        if not self.found:
            return
        inside = self.pick(signed_masks) > 0  # [n, r, W]
        self.sums[:, rows] = (self.pick(masks) * inside).sum(-1)
        self.counts[:, rows] = inside.sum(-1, dtype=torch.int32)
        self.columns |= inside.any(1)
        self.masks[:, rows] = inside[self.owners]

    def result(self) -> InstanceData:
        """Score and box every (query, class) pair."""
        labels = [label for _, label, _ in self.found]
        found = [score for _, _, score in self.found]
        scores = to_device_async(found, self.device, torch.float32)
        mean = self.sums.sum(1) / (self.counts.sum(1) + 1e-6)  # [n]
        x1, x2 = _extent(self.columns)
        y1, y2 = _extent(self.counts > 0)
        boxes = torch.stack([x1, y1, x2, y2], 1)  # [n, 4]
        return InstanceData(
            bboxes=boxes[self.owners],
            labels=to_device_async(labels, self.device, torch.int64),
            scores=scores * mean[self.owners],
            masks=self.masks,
            label_names=[self.vocabulary.names[label] for label in labels],
        )


class SemanticTask(FusionTask):
    """Every pixel goes to the class with the largest sum of score times mask."""

    field = 'pred_sem_seg'

    def __init__(
        self,
        probs: Tensor,
        size: tuple[int, int],
        vocabulary: Vocabulary,
        max_pixels: int,
        classes: Tensor | None = None,
    ) -> None:
        self.best_class = BestClass(_scores(probs, classes), max_pixels)
        self.classes = classes
        self.vocabulary = vocabulary
        self.queries = range(len(probs))
        self.labels = torch.zeros(size, dtype=torch.int64, device=probs.device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Label the pixels of a strip."""
        labels = _name(self.best_class(masks.flatten(1)), self.classes)
        self.labels[rows] = labels.view(masks.shape[1:])

    def result(self) -> PixelData:
        """Put the map where mmdet and where mmseg look for it."""
        meta: dict[str, Any] = dict(label_names=list(self.vocabulary.names))
        num_classes = len(self.vocabulary.is_thing)
        if num_classes > 255:
            meta['ignore_index'] = num_classes  # mmdet's 255 is a class here
        labels = self.labels[None]
        return PixelData(metainfo=meta, sem_seg=labels, data=labels)


class TopClassesTask(FusionTask):
    """The most likely classes of every pixel.

    The probability of a class is its sum of score times mask over all queries, divided
    by the sum of the masks. All classes and void sum up to 1.
    """

    field = 'pred_top_classes'

    def __init__(
        self,
        probs: Tensor,
        size: tuple[int, int],
        count: int,
        max_values: int,
        classes: Tensor | None = None,
    ) -> None:
        self.scores, self.classes = _scores(probs, classes), classes
        self.queries = range(len(probs))
        self.chunk = max(1, max_values // len(self.scores))
        shape = (min(count, len(self.scores)), *size)
        self.labels = torch.zeros(shape, dtype=torch.int64, device=probs.device)
        self.probabilities = torch.zeros(shape, device=probs.device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Find the classes of the pixels of a strip."""
        parts = []
        for part in masks.flatten(1).split(self.chunk, 1):
            total = part.sum(0).clamp(min=torch.finfo(part.dtype).tiny)
            parts.append((self.scores @ part / total).topk(len(self.labels), 0))
        values, labels = (
            torch.cat(x, 1).view(-1, *masks.shape[1:]) for x in zip(*parts, strict=True)
        )
        self.probabilities[:, rows] = values
        self.labels[:, rows] = _name(labels, self.classes)

    def result(self) -> PixelData:
        """Return labels and probabilities, ``[k, H, W]``, the most likely first."""
        return PixelData(labels=self.labels, probabilities=self.probabilities)


class LogitsTask(FusionTask):
    """The logarithm of the score of every class at every pixel."""

    field = 'seg_logits'

    def __init__(self, probs: Tensor, size: tuple[int, int]) -> None:
        self.scores = probs[:, :-1].T.contiguous()  # [K, N]
        self.queries = range(len(probs))
        self.logits = probs.new_zeros(len(self.scores), *size)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Sum up a strip."""
        total = self.scores @ masks.flatten(1)
        self.logits[:, rows] = (total + 1e-8).log().unflatten(1, masks.shape[1:])

    def result(self) -> PixelData:
        """Return them; their softmax is each class's share of the scores."""
        return PixelData(data=self.logits)


class ProposalTask(FusionTask):
    """Binary masks of all queries, in their order, empty ones too."""

    field = 'pred_proposals'

    def __init__(self, num_queries: int, size: tuple[int, int]) -> None:
        self.queries, self.size = range(num_queries), size

    def start(self, queries: list[int], device: torch.device) -> None:
        """Allocate the masks."""
        super().start(queries, device)
        shape = (len(self.queries), *self.size)
        self.masks = torch.zeros(shape, dtype=torch.bool, device=device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Copy a strip."""
        self.masks[:, rows] = self.pick(signed_masks) > 0

    def result(self) -> InstanceData:
        """Return the masks."""
        return InstanceData(masks=self.masks)


class HeatmapTask(FusionTask):
    """The heatmaps of all queries, and which query stands for each class.

    That is the query with the largest class probability times mask area among those
    whose best class it is. Without such a query all take part.
    """

    field = 'pred_heatmaps'

    def __init__(
        self,
        probs: Tensor,
        maps: dict[str, Tensor],
        sizes: dict[str, tuple[int, int]],
    ) -> None:
        self.probs = probs[:, :-1]  # [N, K]
        self.maps, self.sizes = maps, sizes
        self.queries = range(len(probs))

    def start(self, queries: list[int], device: torch.device) -> None:
        """Allocate sums per row (a sum per strip would depend on strips)."""
        super().start(queries, device)
        height = self.sizes['ori_shape'][0]
        self.areas = torch.zeros(len(self.queries), height, device=device)

    def add(self, rows: slice, signed_masks: Tensor, masks: Tensor) -> None:
        """Sum up the masks of a strip."""
        self.areas[:, rows] = self.pick(masks).sum(-1)

    def result(self) -> BaseDataElement:
        """Choose the queries; the maps stay as small as they are."""
        weight = self.probs * self.areas.sum(1, keepdim=True)  # [N, K]
        is_best = self.probs == self.probs.amax(1, keepdim=True)
        # Without the large background masks, which add a little of every class.
        first = torch.where(is_best, weight, -1.0)
        queries = torch.where(is_best.any(0), first.argmax(0), weight.argmax(0))  # [K]
        scores = self.probs.gather(0, queries[None])[0]
        return BaseDataElement(
            metainfo=self.sizes, queries=queries, scores=scores, **self.maps
        )


def _scores(probs: Tensor, classes: Tensor | None) -> Tensor:
    """Return the scores of the classes that can win, ``[K, N]``."""
    scores = probs[:, :-1].T
    return scores.contiguous() if classes is None else scores[classes]


def _name(places: Tensor, classes: Tensor | None) -> Tensor:
    """Turn places among the classes that can win into labels."""
    return places if classes is None else classes[places]


def label_divisor(num_classes: int) -> int:
    """Return the factor of the instance number in a panoptic id.

    Args:
        num_classes: K; the label K itself stands for void and must fit too.

    Returns:
        1000 as in mmdet for fewer than 1000 classes, else the next power of ten.
    """
    divisor = 1000
    while divisor <= num_classes:
        divisor *= 10
    return divisor


def _extent(used: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past the last True of each row, ``[n]`` floats; 0 if none."""
    used = used.byte()
    first = used.argmax(1)
    last = used.shape[1] - used.flip(1).argmax(1)
    return first.float(), (last * used.amax(1)).float()


def unflip(result: BaseDataElement, direction: str) -> None:
    """Turn the result of an image back that was flipped for the network.

    Args:
        result: Of a task; changed in place.
        direction: ``'horizontal'``, ``'vertical'`` or ``'diagonal'``.

    Raises:
        ValueError: If there is no such direction.
    """
    axes = dict(horizontal=[-1], vertical=[-2], diagonal=[-1, -2]).get(direction)
    if axes is None:
        raise ValueError(
            "flip_direction must be 'horizontal', 'vertical' or 'diagonal', got "
            f'{direction!r}.'
        )
    boxes: Any = result.get('bboxes')
    if boxes is not None:
        height, width = result.masks.shape[-2:]
        size = boxes.new_tensor([width, height, width, height])
        empty = (boxes == 0).all(1, keepdim=True)  # of empty masks, which stay zeros
        mirrored = (size - boxes)[:, [2, 3, 0, 1]]
        columns = [x for axis in axes for x in ((0, 2) if axis == -1 else (1, 3))]
        turned = boxes.clone()
        turned[:, columns] = mirrored[:, columns]
        result.bboxes = turned.masked_fill(empty, 0)
    for name in ('sem_seg', 'data', 'masks'):
        if name in result:
            setattr(result, name, getattr(result, name).flip(axes))
