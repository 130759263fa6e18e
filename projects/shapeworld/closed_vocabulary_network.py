"""A network of transformers with fixed classes, trained by its own loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor

from mmovseg.models.proposals import TransformersProposals
from mmovseg.models.targets import collect_targets
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary


@MODELS.register_module()
class ClosedVocabularyNetwork(BaseModel):
    """Train what :class:`TransformersProposals` runs; its classes are numbers.

    Args:
        architecture: Its ``config.json``, without classes.
        backbone_architecture: That of its backbone.
        train_vocabulary: The classes of the annotation.
        data_preprocessor: Config of the preprocessor; ImageNet's statistics, which
            proposals assume of a folder that does not tell any.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        backbone_architecture: Mapping[str, Any],
        *,
        train_vocabulary: str | Sequence[str],
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        self.train_vocabulary = Vocabulary.load(train_vocabulary)
        names = dict(enumerate(self.train_vocabulary.names))
        # Named as in the models that take its masks, so that its weights fit them.
        self.proposals = TransformersProposals(
            None,
            architecture=dict(architecture, id2label=names),
            backbone_architecture=backbone_architecture,
            class_names=self.train_vocabulary,
        )
        self.network.requires_grad_(True)
        self.train()

    @property
    def network(self) -> Any:
        """What trains."""
        return self.proposals.network

    def train(self, mode: bool = True) -> ClosedVocabularyNetwork:
        """Train the network, though proposals stay in eval mode otherwise."""
        super().train(mode)
        self.network.train(mode)
        return self

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor]:
        """Return the loss of a batch; anything but training is up to others."""
        if mode != 'loss':
            raise ValueError(
                f'ClosedVocabularyNetwork is trained only, got mode {mode!r}: save its '
                'network as a folder, and give that to TransformersProposals.'
            )
        size = (inputs.shape[-2], inputs.shape[-1])
        targets = collect_targets(data_samples or [], self.train_vocabulary, size)
        found = self.network(
            pixel_values=inputs,
            mask_labels=[target.masks.float() for target in targets],
            class_labels=[target.labels for target in targets],
        )
        return dict(loss=found.loss.squeeze())

    def save_network(self, folder: str | Path) -> None:
        """Write the network as ``save_pretrained`` does."""
        self.network.save_pretrained(folder)
