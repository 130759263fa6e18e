"""Masks of one network, names of a frozen CLIP: nothing is trained."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmovseg.registry import MODELS, build_part
from mmovseg.vocabulary import Vocabulary

from ..ensembles import build_ensemble
from ..examples import RegionEmbeds, unseen_part
from ..ops import mask_pool, resize_masks, without_autocast
from ..structures import MaskPrediction, MaskProposals, TextEmbeddings
from .base import OVSegmentor

LEAST = 1e-8  # probability whose logarithm is taken


@MODELS.register_module()
class TrainingFreeSegmentor(OVSegmentor):
    """Name the masks of a proposal network by a frozen CLIP, in one pass each.

    CLIP embeds a mask in one of two ways: a convolutional one pools its last map, as
    in FC-CLIP; a vision transformer averages its patches, of which severance keeps
    those apart that its config says, as in DeOP.

    A proposal network that knows classes has a say, too. Its probabilities, times the
    text embeddings of its own class names, are a region embedding in the space of the
    names (ConSE), which is compared with the vocabulary as any other. An ensemble mixes
    both. What the probabilities lack to 1 is void.

    Args:
        proposals: Config of the proposal network, which stays frozen.
        backbone: Config of the frozen CLIP: ``CLIPConvBackbone`` or ``DenseCLIPViT``.
        ensemble: Config of the ensemble, a ``GeometricEnsemble`` unless it has another
            ``type``. ``alpha`` is CLIP's weight for classes of the training vocabulary,
            ``beta`` for others. None for CLIP alone.
        num_known: So many of its own classes, the most probable, make the embedding of
            a mask.
        train_vocabulary: The classes that the proposal network knows, in its order; of
            one without classes they count as unseen all the same.
        shared: What all segmentors take but the criterion; see :class:`OVSegmentor`.

    Attributes:
        known_classes: The classes that the proposal network knows; None without any.

    Raises:
        ImportError: If a package that the proposal network needs is missing.
        ValueError: If CLIP's towers do not fit each other, ``num_known`` is below 1, or
            ``ensemble`` needs classes that the proposal network does not know.

    Source: FC-CLIP (arXiv 2308.02487) and DeOP (arXiv 2304.01198) for CLIP's share;
        ConSE, Norouzi et al., ICLR 2014, equation 3; the composition is ours.
    """

    needs_no_training = True

    def __init__(
        self,
        proposals: dict,
        backbone: dict,
        *,
        ensemble: dict | None,
        num_known: int = 10,
        **shared: Any,
    ) -> None:
        kind = proposals['type']
        kind = MODELS.get(kind) if isinstance(kind, str) else kind
        if hasattr(kind, 'check_installed'):
            kind.check_installed()  # before CLIP is fetched
        super().__init__(criterion=None, **shared)
        if num_known < 1:
            raise ValueError(f'num_known must be at least 1, got {num_known}.')
        self.num_known = num_known
        statistics = self.data_preprocessor
        self.proposals = build_part(
            proposals,
            class_names=self.train_vocabulary,
            mean=getattr(statistics, 'mean', None),
            std=getattr(statistics, 'std', None),
        ).requires_grad_(False)
        self.backbone = MODELS.build(backbone)
        self.check_embed_dims(self.backbone.embed_dims)
        self.ensemble = build_ensemble(ensemble, default='GeometricEnsemble')
        self.known_classes: Vocabulary | None = getattr(
            self.proposals, 'class_names', None
        )
        if self.ensemble is not None and self.known_classes is None:
            raise ValueError(
                f'{type(self.proposals).__name__} knows no classes, so CLIP alone '
                'names its masks: set ensemble=None.'
            )
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> TrainingFreeSegmentor:
        """Stay in eval mode, whatever ``mode`` is."""
        return super().train(False)

    def loss(self, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """Refuse: there is nothing to train."""
        raise NotImplementedError(
            'TrainingFreeSegmentor has nothing to train: test it or segment with it.'
        )

    def encode_vocabulary(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Encode a vocabulary, and the classes that the proposal network knows."""
        text = super().encode_vocabulary(vocabulary)
        if self.ensemble is None:
            return text
        return text._replace(known=self._embed_known())

    def drop_text_tower(self) -> None:
        """See :meth:`OVSegmentor.drop_text_tower`; the known classes stay, too."""
        if self.ensemble is not None:
            self.text_classifier.encode(self.known_classes)
        super().drop_text_tower()

    def _embed_known(self) -> Tensor:
        """Return a unit row per known class, the mean of its names, ``[C, D]``."""
        text = self.text_classifier(self.known_classes)
        rows, count = text.weight[:-1], text.count_classes()
        total = rows.new_zeros(count, rows.shape[1])
        return F.normalize(total.index_add(0, text.class_ids[:-1], rows), dim=-1)

    @property
    def embeds_parts(self) -> bool:
        """See :attr:`OVSegmentor.embeds_parts`."""
        return True

    def extract_feat(self, inputs: Tensor) -> tuple[MaskProposals, Tensor]:
        """Find masks, and embed them ``[B, N, D]``."""
        # One network finds masks, whatever they show.
        proposals = self.proposals(inputs)[-1]
        # CLIP sees the image once, and embeds every mask.
        return proposals, self._embed_masks(inputs, proposals.mask_logits)

    def embed_parts(self, inputs: Tensor, features: Any, cut: Any) -> Tensor:
        """Take the masks as parts; see :meth:`OVSegmentor.embed_parts`."""
        return features[1]

    def embed_example(
        self, inputs: Tensor, masks: Tensor, text: TextEmbeddings
    ) -> RegionEmbeds:
        """Take the object for a mask; see :meth:`OVSegmentor.embed_example`."""
        both = torch.cat([masks, -masks], 1)
        features = self._run_clip(inputs, both)
        if unseen := unseen_part(masks, features.shape[-2:]):
            return RegionEmbeds(unseen=unseen)
        embeds = self._pool_masks(features, both)[0]
        return RegionEmbeds(clip=(embeds[0], embeds[1:]))

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        features = self.extract_feat(inputs) if features is None else features
        proposals, region_embeds = features
        scale = self.text_classifier.logit_scale.exp().clamp(max=100)
        clip_logits = text.for_clip().logits(region_embeds, scale)[..., :-1]
        # What is no object is void; without a word of the network everything is one.
        known = proposals.class_probs
        objectness = clip_logits.new_ones(clip_logits.shape[:-1])
        if known is not None:
            objectness = known.float().sum(-1).clamp(max=1)
        if self.ensemble is None:
            class_logits = _with_void(clip_logits, objectness)
        else:
            assert known is not None
            assert text.known is not None
            # The network's own classes vote for the names that they resemble.
            voted = self._combine_known(known.float(), text.known)
            class_logits = self.ensemble(
                _with_void(text.logits(voted, scale)[..., :-1], objectness),
                clip_logits,
                self.find_seen(text),
                valid=torch.ones_like(objectness, dtype=torch.bool),
            )
        return [MaskPrediction(class_logits, proposals.mask_logits)]

    def _embed_masks(self, inputs: Tensor, mask_logits: Tensor) -> Tensor:
        """Embed masks ``[B, N, h, w]`` by CLIP, ``[B, N, D]``."""
        return self._pool_masks(self._run_clip(inputs, mask_logits), mask_logits)

    def _run_clip(self, inputs: Tensor, mask_logits: Tensor) -> Tensor:
        """Return CLIP's last map; a ViT may be severed by the masks."""
        if hasattr(self.backbone, 'pool_masks'):
            return self.backbone(inputs)[-1]
        return self.backbone(inputs, mask_logits)

    def _pool_masks(self, features: Tensor, mask_logits: Tensor) -> Tensor:
        """Embed masks by CLIP's map, ``[B, N, D]``."""
        masks = _never_empty(resize_masks(mask_logits, features.shape[-2:]))
        if hasattr(self.backbone, 'pool_masks'):
            return self.backbone.pool_masks(features, masks)
        return mask_pool(features, masks)

    def _combine_known(self, known: Tensor, rows: Tensor) -> Tensor:
        """Mix the rows of the most probable classes, ``[B, N, D]``.

        Args:
            known: Probabilities, ``[B, N, C]``.
            rows: Unit rows of the classes, ``[C, D]``.
        """
        with without_autocast(known.device):
            least = known.topk(min(self.num_known, known.shape[-1]), -1).values[
                ..., -1:
            ]
            kept = known.masked_fill(known < least, 0)
            return kept @ rows.to(kept.dtype)


def _never_empty(masks: Tensor) -> Tensor:
    """Raise masks without a positive position, so that the best of each counts."""
    best = masks.flatten(2).amax(-1)[..., None, None]
    # The best becomes 1 where it was not positive.
    return torch.where((best <= 0) & (masks == best), torch.ones_like(masks), masks)


def _with_void(class_logits: Tensor, objectness: Tensor) -> Tensor:
    """Give classes the probability of an object, and void the rest, ``[B, N, K + 1]``.

    Args:
        class_logits: Of the classes, ``[B, N, K]``.
        objectness: Probability of an object, ``[B, N]``.
    """
    void = (1 - objectness).clamp(LEAST, 1 - LEAST).unsqueeze(-1)
    shares = class_logits.float().log_softmax(-1)
    return torch.cat([shares + (1 - void).log(), void.log()], -1)
