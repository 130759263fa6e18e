"""Photos that are encoded once, and segmented with several lists of names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.structures import BaseDataElement

from ..models import ops
from .images import ImageError
from .photo_pipeline import Photo
from .photo_stream import is_out_of_memory, make_failed


@dataclass(frozen=True, eq=False)
class EncodedPhoto:
    """A photo in the memory of a model; see :meth:`OVSegInferencer.encode`.

    Attributes:
        photo: Its pixels and its name.
        path: Its file; None if it has none.
        inputs: What the network gets, ``[1, 3, H, W]``.
        sample: Sizes of the photo, as the test pipeline gives them.
        features: What the network computes of it whatever the names are; None if the
            model has no such part.
    """

    photo: Photo
    path: Path | None
    inputs: torch.Tensor
    sample: BaseDataElement
    features: Any

    @property
    def reuses(self) -> bool:
        """Whether other names need less work than the first ones."""
        return self.features is not None


@torch.no_grad()
def encode_photo(
    model: Any,
    batch: dict[str, Any],
    photo: Photo,
    path: Path | None,
    *,
    plain: bool = False,
) -> EncodedPhoto:
    """Run the part of a model that does not depend on the names.

    Args:
        model: A segmentor; it is not changed.
        batch: The photo, as the test pipeline and the collate function give it.
        photo: Its pixels and its name.
        path: Its file.
        plain: See :class:`OVSegInferencer`.

    Raises:
        ImageError: If the photo needs more memory than there is.
    """
    try:
        with ops.plain(plain or getattr(model, 'plain', False)):
            data = model.data_preprocessor(batch, False)
            features = None
            if getattr(model, 'keeps_features', False):
                features = model.extract_feat(data['inputs'])
    except Exception as error:
        raise _name_photo(error, photo) from error
    [sample] = data['data_samples']
    return EncodedPhoto(photo, path, data['inputs'], sample, features)


@torch.no_grad()
def segment_encoded(
    model: Any,
    photo: EncodedPhoto,
    vocabulary: Any,
    results: Sequence[str],
    *,
    plain: bool = False,
) -> BaseDataElement:
    """Run the rest of a model, and return a new data sample with the results.

    Args:
        model: The segmentor that encoded the photo; it is not changed.
        photo: From :func:`encode_photo`; it is not changed.
        vocabulary: The classes.
        results: What to make; see :class:`MaskFusion`.
        plain: See :class:`OVSegInferencer`.

    Raises:
        ImageError: If the photo needs more memory than there is.
    """
    options = dict(vocabulary=vocabulary, results=results)
    if photo.features is not None:
        options['features'] = photo.features
    try:
        with ops.plain(plain):
            [sample] = model(
                photo.inputs, [photo.sample.new()], mode='predict', **options
            )
    except Exception as error:
        raise _name_photo(error, photo.photo) from error
    return sample


def _name_photo(error: Exception, photo: Photo) -> Exception:
    """Return an error that names the photo if memory is full, else the error."""
    if is_out_of_memory(error):
        return ImageError(make_failed(photo.bgr, photo.name, error).message)
    return error
