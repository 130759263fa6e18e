"""From a vocabulary to text embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...registry import MODELS
from ...vocabulary import Vocabulary, get_templates
from ..layers import refuse_init_cfg
from ..structures import TextEmbeddings
from .text_cache import (
    MemoryCache,
    PartCache,
    default_cache_dir,
    hash_tensor,
    read_matrix,
    write_matrix,
)
from .text_tower import TextTower

MEMORY_SIZE = 32  # Vocabularies kept in memory; the least recently used one goes.
CACHE_FORMAT = 1  # Raise when the same key would stand for other numbers.


class _Weights(NamedTuple):
    """Which weights the rows of the names depend on."""

    state: tuple = ()  # changes when they may have changed
    fingerprint: str = ''  # changes when they have


class _Entry(NamedTuple):
    weight: Tensor  # [V, D], float32
    class_ids: Tensor  # [V + 1]


@MODELS.register_module()
class TextClassifier(BaseModule):
    """Turn a vocabulary into one unit row per name and a learned row for void.

    A :class:`TextTower` encodes the names, once per vocabulary: the matrix is cached in
    memory and on disk, under a hash of the names, the templates and the weights and
    the structure of the text tower. So loading other weights needs no clean-up, and
    threads, processes and models can share what was encoded. Of thousands of names a
    part is kept on disk after the other: what was stopped goes on. (Weights edited
    through ``parameter.data`` go unnoticed.)

    Only ``void_embedding`` and the prompt learner, if there is one, are trained. The
    tower has no gradient, stays in eval mode and is not touched by ``init_weights()``.
    While a prompt is trained nothing is cached.

    Args:
        model_name: A name of open_clip whose text tower uses CLIP's own tokenizer.
        pretrained: As in :func:`~mmovseg.models.clip.create_clip`.
        templates: Name of a template set, or a list of strings with ``{}``; None is
            ``'vild'``.
        prompt_learner: Config of a ``PromptLearner``, which replaces the templates.
        void_std: Standard deviation of the start of ``void_embedding``.
        cache_dir: Folder of the disk cache; ``'default'`` is ``$MMOVSEG_CACHE/text``
            or ``~/.cache/mmovseg/text``, None switches the disk cache off.
        init_cfg: Refused; the tower loads what ``pretrained`` names.

    Raises:
        ValueError: If the model or the templates are unknown, the model has another
            tokenizer, or both templates and a prompt learner are given.

    Attributes:
        embed_dims: D, the width of the shared space of text and image.
        logit_scale: CLIP's own temperature, logarithmic, frozen.

    Example:
        >>> from mmovseg.vocabulary import Vocabulary
        >>> classifier = TextClassifier('tiny-rn', 'shapeworld', templates='simple')
        >>> text = classifier(Vocabulary.from_names(['red circle; red disc', 'grass']))
        >>> text.weight.shape, text.class_ids.tolist()
        (torch.Size([4, 64]), [0, 0, 1, 2])

    Source: EOV-Seg, section 3 (text embeddings) and released code (templates, void).
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        templates: str | list[str] | None = None,
        prompt_learner: dict | None = None,
        void_std: float = 1.0,
        cache_dir: str | Path | None = 'default',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        refuse_init_cfg(self, init_cfg)
        if prompt_learner is not None and templates is not None:
            raise ValueError(
                f'A prompt learner takes the place of templates {templates!r}: leave '
                'one of them out.'
            )
        self.templates: Sequence[str] = ['{}']
        if prompt_learner is None:
            self.templates = get_templates('vild' if templates is None else templates)
        if cache_dir == 'default':
            cache_dir = default_cache_dir()
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.model_name = model_name
        tower = TextTower(model_name, pretrained, templates=self.templates)
        self.tower: TextTower | None = tower
        self.embed_dims = tower.embed_dims
        self._structure = tower.structure
        # Modules of the tower are registered here: checkpoints have these names.
        self.clip: nn.Module | None = tower.clip
        self.logit_scale = nn.Parameter(tower.logit_scale, requires_grad=False)
        self.void_embedding = nn.Embedding(1, self.embed_dims)
        nn.init.normal_(self.void_embedding.weight, std=void_std)
        self.prompt_learner: nn.Module | None = None
        if prompt_learner is not None:
            self.prompt_learner = tower.learn_prompt(prompt_learner)
        self._weights = _Weights()
        self._memory = MemoryCache(MEMORY_SIZE)

    def train(self, mode: bool = True) -> TextClassifier:
        """Switch the mode; the text tower stays in eval."""
        super().train(mode)
        if self.clip is not None:
            self.clip.eval()
        return self

    def init_weights(self) -> None:
        """Do nothing: MMEngine would re-randomize open_clip's modules."""

    def forward(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Return the text matrix of a vocabulary with the void row at the end.

        Args:
            vocabulary: K classes with V names in all.

        Returns:
            Rows of unit length, ``[V + 1, D]``, on the device and in the dtype of
            ``void_embedding``. The last one has a gradient, the others if they come
            from a prompt that is being trained.

        Raises:
            ValueError: If a prompt does not fit into the text tower.
            RuntimeError: If the text tower was dropped and the vocabulary is new.
        """
        void = self.void_embedding.weight
        if self.tower is not None and self._is_learning():
            class_ids = (*vocabulary.class_ids, len(vocabulary))
            entry = _Entry(
                self.tower.encode(vocabulary),
                torch.tensor(class_ids, device=void.device),
            )
        else:
            entry = self._lookup(vocabulary)
        weight = torch.cat([entry.weight.to(void.dtype), F.normalize(void, dim=-1)])
        return TextEmbeddings(weight, entry.class_ids, len(vocabulary.is_thing))

    def encode(self, vocabulary: Vocabulary) -> Tensor:
        """Return the rows of the names alone, ``[V, D]``, from the cache if possible.

        Raises:
            ValueError: If a prompt does not fit into the text tower.
            RuntimeError: If the text tower was dropped and the vocabulary is new.
        """
        return self._lookup(vocabulary).weight.to(self.void_embedding.weight.dtype)

    @property
    def fingerprint(self) -> str:
        """A hash of what the rows of names depend on: weights, templates, prompt."""
        content = [
            self._hash_weights(self.tower),
            self._structure,
            list(self.templates),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def drop_text_tower(self) -> None:
        """Free the memory of the text tower.

        Afterwards only vocabularies that are cached, in memory or on disk, can be
        used. The weights must be loaded before.
        """
        if self.tower is not None:
            self._hash_weights(self.tower)
            self.clip = self.tower = None

    def _has_trainable_prompt(self) -> bool:
        learner = self.prompt_learner
        return learner is not None and any(
            p.requires_grad for p in learner.parameters()
        )

    def _is_learning(self) -> bool:
        """Whether the rows need gradients now, so that they cannot be kept."""
        return (
            self.training and torch.is_grad_enabled() and self._has_trainable_prompt()
        )

    def _lookup(self, vocabulary: Vocabulary) -> _Entry:
        tower = self.tower  # whatever another thread does with it
        fingerprint = self._hash_weights(tower)
        key = (fingerprint, vocabulary)
        device = self.void_embedding.weight.device

        def make() -> _Entry:
            class_ids = (*vocabulary.class_ids, len(vocabulary))
            weight = self._read_or_encode(vocabulary, tower, fingerprint)
            return _Entry(weight, torch.tensor(class_ids))

        # Tensors born in inference mode could never take part in training.
        with torch.inference_mode(False), torch.no_grad():
            entry = self._memory.get_or_make(key, make)
            if entry.weight.device != device or entry.class_ids.device != device:
                entry = _Entry(entry.weight.to(device), entry.class_ids.to(device))
                self._memory.put(key, entry)
        return entry

    def _hash_weights(self, tower: TextTower | None) -> str:
        """Return the hash of the weights; forget all vocabularies if it is another."""
        known = self._weights
        if tower is None:
            return known.fingerprint
        parts = [x for x in (tower.clip, tower.prompt_learner) if x is not None]
        # Far cheaper than a hash, and it notices loading into any parent or child.
        state = tuple(
            (p.data_ptr(), p.dtype, 0 if p.is_inference() else p._version)
            for part in parts
            for p in part.parameters()
        )
        if state != known.state:
            digest = hashlib.sha256()
            for part in parts:
                for name, tensor in sorted(part.state_dict().items()):
                    about = f'{name} {tensor.dtype} {tuple(tensor.shape)};'
                    digest.update(about.encode())
                    hash_tensor(digest, tensor)
            new = _Weights(state, digest.hexdigest())
            if new.fingerprint != known.fingerprint:
                self._memory.clear()
            # Replaced as one: another thread sees the old pair or the new one.
            self._weights = known = new
        return known.fingerprint

    def _read_or_encode(
        self, vocabulary: Vocabulary, tower: TextTower | None, fingerprint: str
    ) -> Tensor:
        path = None
        # A prompt that is still being trained would leave a file at every validation.
        if self.cache_dir is not None and not self._has_trainable_prompt():
            content = [
                CACHE_FORMAT,
                fingerprint,
                self._structure,
                self.templates,
                vocabulary.all_names,
            ]
            key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
            path = self.cache_dir / f'{key}.safetensors'
            shape = (len(vocabulary.all_names), self.embed_dims)
            weight = read_matrix(path, shape)
            if weight is not None:
                return weight
        if tower is None:
            raise RuntimeError(
                f'{vocabulary!r} is not cached and the text tower was dropped; encode '
                'it before drop_text_tower(), or build the model again.'
            )
        if path is None:
            return tower.encode(vocabulary)
        parts = PartCache(path)
        weight = tower.encode(vocabulary, parts)
        write_matrix(path, weight)
        parts.clear()
        return weight
