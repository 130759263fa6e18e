"""What metrics take out of data samples, and which results belong to one image."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

# What to do if a sample lacks a field.
ADVICE = {
    'img_id': "name 'img_id' in the meta_keys of the transform that packs. Datasets of "
    'mmseg have no ids: evaluate them without ann_file',
    'gt_sem_seg': 'load annotations in the pipeline, or give ann_file and seg_prefix',
    'pred_proposals': 'set model.fusion.proposals=True',
    'pred_sem_seg': 'let the model give semantic results',
    'pred_panoptic_seg': 'let the model give panoptic results',
    'pred_instances': 'let the model give instance results',
}


class HasImage(Protocol):
    """What a metric keeps of one image."""

    @property
    def image_id(self) -> Any:
        """Id of the image."""

    @property
    def img_path(self) -> str | None:
        """Path of its photo."""

    @property
    def truth(self) -> Hashable:
        """Tell annotations apart; equal for repetitions of an image."""


ResultT = TypeVar('ResultT', bound=HasImage)


def take(sample: Mapping, key: str, metric: str, title: Any = None) -> Any:
    """Take a field of a data sample, or of a part of it.

    Args:
        sample: The sample or part.
        key: Name of the field.
        metric: Who needs it, for the message.
        title: What the message calls the sample; None takes its path.

    Raises:
        KeyError: If it has no such field, with what to do.
    """
    if key in sample:
        return sample[key]
    title = title or sample.get('img_path') or sample.get('img_id') or 'A data sample'
    advice = ADVICE.get(key, 'let the model give it')
    raise KeyError(f'{title} has no {key}, which {metric} needs: {advice}.')


def to_map(field: Mapping, title: Any) -> np.ndarray:
    """Take the ``[H, W]`` map out of a field of mmdet (sem_seg) or mmseg (data).

    Raises:
        KeyError: If there is none.
        ValueError: If it is no map of whole numbers.
    """
    tensor = field.get('sem_seg', field.get('data'))
    if tensor is None:
        raise KeyError(
            f'The map of {title} has neither sem_seg (mmdet) nor data (mmseg).'
        )
    if tensor.is_floating_point() or tensor.numel() != np.prod(tensor.shape[-2:]):
        raise ValueError(
            f'The map of {title} must be [1, H, W] or [H, W] whole numbers, got '
            f'{list(tensor.shape)} {tensor.dtype}. Take the argmax of scores first.'
        )
    return tensor.detach().cpu().numpy().reshape(tensor.shape[-2:])


def check_photo(paths: dict, sample: Mapping, metric: str) -> tuple[Any, str | None]:
    """Give the id and path of an image that a metric looks up by its id.

    Args:
        paths: Path of every image so far, by its id; this one is added.
        sample: The data sample.
        metric: Who asks, for the message.

    Raises:
        KeyError: If the sample has no id.
        ValueError: If another photo has the same id.
    """
    image_id, path = take(sample, 'img_id', metric), sample.get('img_path')
    _refuse_second_photo(paths.setdefault(image_id, path), path, image_id)
    return image_id, path


def _refuse_second_photo(first: str | None, second: str | None, image_id: Any) -> None:
    if first != second:
        raise ValueError(
            f'Image id {image_id!r} stands for two photos, {first} and {second}. '
            'Concatenated datasets must have different ids; evaluate sets that share '
            'ids one by one.'
        )


def one_per_image(
    results: Iterable[ResultT], *, is_id_unique: bool = False
) -> list[ResultT]:
    """Drop the repetitions with which a distributed sampler fills up.

    Samples without id or path (None) cannot be told apart, and all count.

    Args:
        results: One entry per sample.
        is_id_unique: Whether annotations were looked up by the id alone.

    Raises:
        ValueError: If two images have the same id, and no path that tells them apart.
    """
    images: dict[Hashable, ResultT] = {}
    paths: dict[Any, str | None] = {}
    for index, item in enumerate(results):
        key = item.image_id, item.img_path
        if key == (None, None):
            images[index] = item
            continue
        if is_id_unique:
            first = paths.setdefault(item.image_id, item.img_path)
            _refuse_second_photo(first, item.img_path, item.image_id)
        if images.setdefault(key, item).truth != item.truth:
            raise ValueError(
                f'Image id {item.image_id!r} ({item.img_path}) occurs twice with '
                'different annotations. Concatenated datasets must have different ids, '
                'or samples an img_path.'
            )
        images[key] = item
    return list(images.values())
