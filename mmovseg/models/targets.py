"""Ground truth of mmdet's or mmseg's data samples as padded binary masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmovseg.vocabulary import Vocabulary

from .structures import MaskTarget


def collect_targets(
    data_samples: Sequence[Any], vocabulary: Vocabulary, size: Sequence[int]
) -> list[MaskTarget]:
    """Turn the ground truth of a batch into one binary mask per segment.

    Things come first, one per entry of ``gt_instances`` and as ordered there; then
    one mask per stuff class of ``gt_sem_seg``, ascending. A thing class that only the
    map shows is a crowd and no target. A sample without instance labels is a semantic
    one, and every class of its map is a target.

    No target comes from map values outside ``[0, K)`` or equal to the ``ignore_index``
    in the map's metainfo. K may exceed 255: then 255 is a class like others.

    Args:
        data_samples: mmdet's or mmseg's data samples, one per image.
        vocabulary: The classes of the annotation, K of them.
        size: Height and width of the padded batch. Masks are padded with False on the
            right and at the bottom.

    Returns:
        One target per image, on the device of its labels.

    Raises:
        ValueError: If a sample has no ground truth, if its labels do not fit the
            vocabulary, or if the size of its masks does not fit the image or batch.
    """
    padded = (int(size[0]), int(size[1]))
    targets = []
    for index, sample in enumerate(data_samples):
        try:
            targets.append(_collect(sample, vocabulary, padded))
        except ValueError as error:
            path = _metainfo(sample).get('img_path', 'path unknown')
            raise ValueError(f'Image {index} of the batch ({path}): {error}') from error
    return targets


def _collect(sample: Any, vocabulary: Vocabulary, size: tuple[int, int]) -> MaskTarget:
    """Collect the targets of one image; see :func:`collect_targets`."""
    instances = getattr(sample, 'gt_instances', None)
    if getattr(instances, 'labels', None) is None:
        instances = None
    label_map = _label_map(sample)
    if instances is None and label_map is None:
        raise ValueError(
            'it has neither gt_instances nor gt_sem_seg. The pipeline must load '
            'annotations before it packs the inputs.'
        )
    parts = []
    if instances is not None:
        parts.append(_things(instances, vocabulary, label_map is not None))
    if label_map is not None:
        only_stuff = instances is not None
        parts.append(_from_map(sample, label_map, vocabulary, only_stuff=only_stuff))

    labels = torch.cat([part.labels for part in parts])
    masks = torch.zeros(len(labels), *size, dtype=torch.bool, device=labels.device)
    start = 0
    for part in parts:
        height, width = part.masks.shape[-2:]
        _check_size(sample, (height, width), size)
        stop = start + len(part.labels)
        masks[start:stop, :height, :width] = part.masks
        start = stop
    return MaskTarget(labels, masks)


def _things(instances: Any, vocabulary: Vocabulary, has_map: bool) -> MaskTarget:
    """Read labels and masks of the instances."""
    labels = torch.as_tensor(instances.labels).long()
    num_classes = len(vocabulary)
    for label in labels.tolist():
        if not 0 <= label < num_classes:
            raise ValueError(
                f'label {label} of gt_instances is outside [0, {num_classes}). Dataset '
                'and train_vocabulary disagree: give the model the vocabulary of the '
                "dataset's annotation file, in its order."
            )
        # Its pixels would be a second target, as a stuff class of the map.
        if has_map and not vocabulary.is_thing[label]:
            raise ValueError(
                f'label {label} ({vocabulary.names[label]!r}) has instances beside a '
                'semantic map, but is stuff in train_vocabulary. Mark the class as a '
                "thing there ('thing: name')."
            )
    masks = getattr(instances, 'masks', None)
    if masks is None:
        raise ValueError(
            'gt_instances has labels but no masks. Load them with with_mask=True.'
        )
    if hasattr(masks, 'to_tensor'):  # mmdet's BitmapMasks and PolygonMasks
        masks = masks.to_tensor(torch.bool, labels.device)
    else:
        masks = torch.as_tensor(masks).to(labels.device, torch.bool)
    if masks.dim() != 3 or len(masks) != len(labels):
        raise ValueError(
            f'gt_instances has {len(labels)} labels, so its masks must be '
            f'[{len(labels)}, H, W], got {list(masks.shape)}.'
        )
    return MaskTarget(labels, masks)


def _from_map(
    sample: Any, label_map: Tensor, vocabulary: Vocabulary, *, only_stuff: bool
) -> MaskTarget:
    """Make one mask per target class of the map, ascending."""
    num_classes = len(vocabulary)
    # Widened first: K does not fit into the uint8 of small label maps.
    label_map = label_map.long()
    ignored = (label_map < 0) | (label_map >= num_classes)
    ignore_index = _metainfo(sample.gt_sem_seg).get('ignore_index')
    if ignore_index is not None:
        ignored |= label_map == ignore_index
    label_map = label_map.masked_fill(ignored, num_classes)

    targets = [not (only_stuff and thing) for thing in vocabulary.is_thing] + [False]
    is_target = torch.tensor(targets, device=label_map.device)
    # Counting is linear in the pixels, torch.unique sorts them: 40 times slower.
    present = torch.bincount(label_map.flatten(), minlength=num_classes + 1) > 0
    labels = (present & is_target).nonzero().flatten()
    return MaskTarget(labels, label_map == labels[:, None, None])


def _label_map(sample: Any) -> Tensor | None:
    """Return the semantic map, ``[H, W]``, whichever library packed it."""
    sem_seg = getattr(sample, 'gt_sem_seg', None)
    for name in ('sem_seg', 'data'):  # mmdet, mmseg
        label_map = getattr(sem_seg, name, None)
        if label_map is None:
            continue
        label_map = torch.as_tensor(label_map)
        if label_map.dim() == 3 and len(label_map) == 1:
            label_map = label_map[0]
        if label_map.dim() != 2:
            raise ValueError(
                f'gt_sem_seg must be [1, H, W] or [H, W], got {list(label_map.shape)}.'
            )
        return label_map
    return None


def _check_size(sample: Any, shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse masks that lie elsewhere than the image they belong to."""
    if shape[0] > size[0] or shape[1] > size[1]:
        raise ValueError(
            f'its masks are {shape}, larger than the padded batch {size}. Resize, crop '
            'and pad annotations together with the image.'
        )
    image = _metainfo(sample).get('img_shape')
    if image is None or shape == size or shape == tuple(image[:2]):
        return
    raise ValueError(
        f'its masks are {shape}, but the image is {tuple(image[:2])}. Load annotations '
        'before the transforms that change the size of the image.'
    )


def _metainfo(element: Any) -> dict:
    """Return MMEngine's metainfo, empty where there is none."""
    return getattr(element, 'metainfo', None) or {}
