"""SimBaseline: CLIP classifies every proposal in a pass of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.registry import MODELS

from ..ensembles import build_ensemble, with_void
from ..examples import RegionEmbeds, unseen_part
from ..ops import at_least_float32, resize_masks
from ..structures import LOGIT_SCALE, MaskPrediction, TextEmbeddings
from .base import image_sizes
from .zero_shot_mask_former import ZeroShotMaskFormer


@MODELS.register_module()
class SimBaseline(ZeroShotMaskFormer):
    """The multi-pass baseline: one crop per proposal goes through a whole CLIP.

    Trained like :class:`ZeroShotMaskFormer`; the crops come in at inference. A
    proposal without a pixel above one half has no crop and is called not valid.

    Args:
        proposals: See :class:`ZeroShotMaskFormer`.
        backbone: Config of a ``DenseCLIPViT``, which embeds the crops.
        ensemble: Config of the ensemble of both class scores, a ``CropEnsemble`` unless
            it has another ``type``; None takes the classes of the crops alone, of valid
            proposals.
        crop_batch_size: Crops in one pass through CLIP.
        shared: See :class:`ZeroShotMaskFormer`. The normalization of the data
            preprocessor is undone for the crops, which have CLIP's.

    Raises:
        ValueError: If backbone and text classifier embed in different widths, or there
            is an ensemble, but no class branch in the proposal network.

    Source: SimBaseline (arXiv 2112.14757) as in DeOP's code.
    """

    def __init__(
        self,
        proposals: dict,
        backbone: dict,
        *,
        ensemble: dict | None = None,
        crop_batch_size: int = 32,
        **shared: Any,
    ) -> None:
        super().__init__(proposals, **shared)
        self.backbone = MODELS.build(backbone)
        self.check_embed_dims(self.backbone.embed_dims)
        if crop_batch_size < 1:
            raise ValueError(
                f'crop_batch_size must be at least 1, got {crop_batch_size}.'
            )
        self.crop_batch_size = crop_batch_size
        self.ensemble = build_ensemble(ensemble, default='CropEnsemble')
        if self.ensemble is not None and self.proposals.embed_channels is None:
            raise ValueError(
                'An ensemble needs the class branch of the proposals: set '
                'proposals.embed_channels, or ensemble=None.'
            )
        visual = self.backbone.visual
        clip_mean, clip_std = (
            255 * torch.tensor(x).view(-1, 1, 1)
            for x in (visual.image_mean, visual.image_std)
        )
        # From the preprocessor's normalization to CLIP's in one step.
        mean = getattr(self.data_preprocessor, 'mean', torch.zeros(1))
        std = getattr(self.data_preprocessor, 'std', torch.ones(1))
        self.register_buffer('to_clip_scale', std / clip_std, persistent=False)
        shift = (mean - clip_mean) / clip_std
        self.register_buffer('to_clip_shift', shift, persistent=False)

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`.

        At inference the images have to be without padding; :meth:`predict` takes any.
        """
        if self.training:
            return super().segment(inputs, text)
        return [self.segment_batch(inputs, text, None)]

    def embed_example(
        self, inputs: Tensor, masks: Tensor, text: TextEmbeddings
    ) -> RegionEmbeds:
        """Cut the object out; see :meth:`OVSegmentor.embed_example`."""
        if unseen := unseen_part(masks, masks.shape[-2:]):
            return RegionEmbeds(unseen=unseen)
        image = at_least_float32(inputs[0]) * self.to_clip_scale + self.to_clip_shift
        inside = torch.cat([masks[0] > 0, masks[0] < 0])
        embeds = self._embed_crops(image, inside, inside.flatten(1).any(1))
        return RegionEmbeds(clip=(embeds[0], embeds[1:]))

    def segment_batch(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None
    ) -> MaskPrediction:
        """See :meth:`OVSegmentor.segment_batch`; crops end where the padding starts."""
        prediction = super().segment(inputs, text)[-1]
        padded = (inputs.shape[-2], inputs.shape[-1])
        sizes = image_sizes(data_samples, padded, len(inputs))
        seen = self.find_seen(text)
        # Multiplied by a mask, the rest becomes 0: CLIP's mean color.
        images = at_least_float32(inputs) * self.to_clip_scale + self.to_clip_shift
        class_logits = []
        for index, (height, width) in enumerate(sizes):
            masks = self._binarize(prediction.mask_logits[index], padded)
            masks = masks[:, :height, :width]
            valid = masks.flatten(1).any(1)
            region_embeds = self._embed_crops(
                images[index, :, :height, :width], masks, valid
            )
            crop_logits = text.for_clip().logits(region_embeds, LOGIT_SCALE)[:, :-1]
            own_logits = prediction.class_logits[index]
            class_logits.append(self._mix(own_logits, crop_logits, seen, valid))
        return prediction._replace(class_logits=torch.stack(class_logits))

    def _binarize(self, mask_logits: Tensor, size: Sequence[int]) -> Tensor:
        """Threshold masks ``[N, h, w]`` at the size of the input, ``[N, H, W]``."""
        # In pieces: all masks of a large image as numbers would take a gigabyte.
        return torch.cat(
            [
                resize_masks(at_least_float32(logits)[None], size)[0].sigmoid() > 0.5
                for logits in mask_logits.split(self.crop_batch_size)
            ]
        )

    @torch.no_grad()
    def _embed_crops(self, image: Tensor, masks: Tensor, valid: Tensor) -> Tensor:
        """Embed all valid proposals of an image; ``[N, D]``, zeros for the others."""
        region_embeds = image.new_zeros(len(masks), self.backbone.embed_dims)
        index = valid.nonzero().flatten()
        boxes = mask_boxes(masks[index]).tolist()
        for start in range(0, len(boxes), self.crop_batch_size):
            part = slice(start, start + self.crop_batch_size)
            crops = crop_masks(
                image, masks[index[part]], boxes[part], self.backbone.image_size
            )
            embeds = self.backbone.encode_image(crops)
            region_embeds[index[part]] = embeds.to(region_embeds.dtype)
        return region_embeds

    def _mix(
        self, own_logits: Tensor, crop_logits: Tensor, seen: Tensor, valid: Tensor
    ) -> Tensor:
        """Combine the two class scores of one image.

        Args:
            own_logits: Of the proposal network, ``[N, K + 1]``.
            crop_logits: Of the crops, without void, ``[N, K]``.
            seen: True where the class was in the training vocabulary, ``[K]``.
            valid: True where there was a crop, ``[N]``.

        Returns:
            Log-probabilities, ``[N, K + 1]``; see :func:`with_void`.
        """
        if self.ensemble is not None:
            return self.ensemble(own_logits, crop_logits, seen, valid)
        crops = crop_logits.float().log_softmax(-1)
        return with_void(crops.masked_fill(~valid.unsqueeze(-1), -torch.inf))


def mask_boxes(masks: Tensor) -> Tensor:
    """Return the tight boxes of masks that are not empty.

    Args:
        masks: bool, ``[N, H, W]``.

    Returns:
        Left, top, right, bottom (the last two one past the mask), int64, ``[N, 4]``.
    """
    columns, rows = masks.any(1).byte(), masks.any(2).byte()
    first = [used.argmax(1) for used in (columns, rows)]
    last = [used.shape[1] - used.flip(1).argmax(1) for used in (columns, rows)]
    return torch.stack([*first, *last], 1)


def crop_masks(
    image: Tensor, masks: Tensor, boxes: Sequence[Sequence[int]], size: int
) -> Tensor:
    """Cut masks out of an image, on a ground of zeros, and make them squares.

    Args:
        image: ``[3, H, W]``.
        masks: bool, ``[n, H, W]``.
        boxes: From :func:`mask_boxes`.
        size: Side of the squares; the aspect ratio is not kept.

    Returns:
        ``[n, 3, size, size]``, resized bicubically.
    """
    crops = []
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        crop = image[:, top:bottom, left:right] * mask[top:bottom, left:right]
        crops.append(F.interpolate(crop[None], (size, size), mode='bicubic')[0])
    return torch.stack(crops)
