"""What a neck of ours needs in a model of another package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

from ..layers import read_out_indices

NO_TEXT = (
    'VASNeck selects by vocabulary: pass TextEmbeddings, give it text=dict('
    "type='TextClassifier', ...) and vocabulary=[...] of its own, or build it with "
    'text_channels=None to aggregate only.'
)


class PyramidNeck(BaseModule):
    """A neck that can embed names itself and can return several maps.

    Our own models hand a neck the text of each call, and take one map. Models of
    other packages know no text and take a tuple of maps. There the neck gets a text
    classifier and a vocabulary.

    Args:
        text_channels: Width D of the text embeddings; None for a neck that reads no
            names; ``...`` if nobody said it, which leaves it to ``text``.
        level_channels: Channels of the maps that levels are made of, finest first.
        out_channels: Channels C of each level.
        text: Config of a ``TextClassifier``, or None.
        vocabulary: What ``text`` encodes, as in :meth:`set_vocabulary`.
        out_indices: The levels that are returned; 0 is the finest. None returns level
            0 alone and not in a tuple, or all levels if there is ``text``.
        init_cfg: MMEngine's initialization config.

    Attributes:
        text: The text classifier, None without it.
        vocabulary: The classes that ``text`` encodes, None without it.
        text_channels: D, None if neither says it.

    Raises:
        ValueError: If nothing tells whether names are to be read, there is ``text``
            without ``vocabulary`` or the other way around, ``text_channels`` is
            another width, or there is no such level.

    Source: Our own, for heads that take a pyramid.
    """

    text: Any
    vocabulary: Vocabulary | None

    def __init__(
        self,
        text_channels: int | EllipsisType | None,
        level_channels: Sequence[int],
        out_channels: int,
        *,
        text: dict | None = None,
        vocabulary: Vocabulary | str | Path | Sequence[str] | None = None,
        out_indices: Sequence[int] | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        self.text = None
        self.vocabulary = None
        if (text is None) != (vocabulary is None):
            raise ValueError(
                f'{name} needs text and vocabulary or neither, got text={text} and '
                f'vocabulary={vocabulary!r}: its own names need a text classifier, '
                'and it has nothing to encode without names.'
            )
        if text is not None:
            self.text = MODELS.build(text)
            self.set_vocabulary(vocabulary)
            if text_channels not in (None, ..., self.text.embed_dims):
                raise ValueError(
                    f'text_channels of {name} is {text_channels}, its text classifier '
                    f'embeds names in {self.text.embed_dims}: leave text_channels out.'
                )
            text_channels = self.text.embed_dims
            if out_indices is None:
                out_indices = range(len(level_channels))
        if isinstance(text_channels, EllipsisType):
            raise ValueError(
                f'{name} selects by names, and nobody told it of any: in a model of '
                "another package give it text=dict(type='TextClassifier', ...) and "
                'vocabulary=[...]. To aggregate only, set text_channels=None, and '
                'out_indices=[0, 1, 2, 3] for heads that take several maps.'
            )
        self.text_channels = text_channels
        self.out_indices = None
        if out_indices is not None:
            self.out_indices = read_out_indices(
                self, out_indices, len(level_channels), 'level'
            )
            self.outputs = nn.ModuleDict(
                {
                    str(i): nn.Conv2d(level_channels[i], out_channels, 1)
                    for i in self.out_indices
                    if i > 0
                }
            )

    def set_vocabulary(
        self, vocabulary: Vocabulary | str | Path | Sequence[str] | None
    ) -> None:
        """Choose what a neck with ``text`` encodes, from the next call on.

        Args:
            vocabulary: A vocabulary, a packaged name, a path or a list of names. A
                neck without ``text`` is handed the text of each call, and keeps none.
        """
        if self.text is not None and vocabulary is not None:
            self.vocabulary = Vocabulary.load(vocabulary)

    def make_levels(self, finest: Tensor, maps: list[Tensor]) -> tuple[Tensor, ...]:
        """Make the levels of ``out_indices``.

        Args:
            finest: Level 0, ``[B, C, H_0, W_0]``.
            maps: What the others are made of, ``[B, C_i, H_i, W_i]``, coarsest first.

        Returns:
            ``[B, C, H_i, W_i]``, finest first.
        """
        assert self.out_indices is not None
        levels = [
            self.outputs[str(i)](maps[-1 - i]) if i else finest
            for i in self.out_indices
        ]
        # Some deformable convolutions misread other layouts silently.
        return tuple(x.contiguous() for x in levels)
