"""The names of a part that stands in a model without a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.model import BaseModule

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..structures import TextEmbeddings


@MODELS.register_module()
class PartText(BaseModule):
    """A text classifier together with the classes that it is asked for.

    Args:
        classifier: Config of a ``TextClassifier``.
        vocabulary: The classes of the annotation: a packaged name, a path or a list.
        names_results: Whether the classes are those of the model's results.
        init_cfg: MMEngine's initialization config.

    Attributes:
        embed_dims: D.
        train_vocabulary: The classes in training.
        vocabulary: The classes at inference.
    """

    def __init__(
        self,
        classifier: dict,
        vocabulary: Vocabulary | str | Path | Sequence[str],
        *,
        names_results: bool = True,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.names_results = names_results
        self.classifier: Any = MODELS.build(classifier)
        self.embed_dims = self.classifier.embed_dims
        self.train_vocabulary = Vocabulary.load(vocabulary)
        self.vocabulary = self.train_vocabulary

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str]
    ) -> None:
        """Choose the classes of inference, from the next call on."""
        self.vocabulary = Vocabulary.load(vocabulary)

    def forward(self) -> TextEmbeddings:
        """Return the text rows, ``[V + 1, D]``; in training those of the annotation."""
        chosen = self.train_vocabulary if self.training else self.vocabulary
        return self.classifier(chosen)
