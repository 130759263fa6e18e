"""From a vocabulary to a text matrix."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
import torch.nn.functional as F
from mmengine.dist import is_main_process
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.func import functional_call
from tqdm import tqdm

from ...registry import MODELS
from ...vocabulary import Vocabulary, get_templates
from ..clip import create_clip, register_tiny_models, resolve_model_name
from ..structures import TextEmbeddings
from .text_cache import default_cache_dir, hash_tensor, read_matrix, write_matrix

BATCH_SIZE = 128  # Prompts per call of encode_text. Larger ones are not faster.
CHUNK_SIZE = 1024  # Names whose prompt features are in memory together.
MEMORY_SIZE = 32  # Vocabularies kept in memory; the least recently used one goes.
PROGRESS_PROMPTS = 500  # A progress bar from here on; about 5 s of RN50 on 2 cores.
CACHE_FORMAT = 1  # Raise when the same key would stand for other numbers.


class _Entry(NamedTuple):
    weight: Tensor  # [V, D], float32
    class_ids: Tensor  # [V + 1]


@MODELS.register_module()
class TextClassifier(BaseModule):
    """Turn a vocabulary into one unit row per name and a learned row for void.

    Every name is put into every template and encoded by a frozen CLIP text tower;
    the unit features of the templates are averaged and normalised. That happens once
    per vocabulary: the matrix is cached in memory and on disk, under a hash of the
    names, the templates and the weights and the structure of the text tower. So
    loading other weights needs no clean-up, and processes and models can share a
    folder. (Weights edited through ``parameter.data`` go unnoticed.)

    Only ``void_embedding`` is trained. The tower has no gradient, stays in eval mode
    and is not touched by ``init_weights()``.

    Args:
        model_name: A name of open_clip whose text tower uses CLIP's own tokenizer.
        pretrained: As in :func:`~mmovseg.models.clip.create_clip`.
        templates: Name of a template set, or a list of strings with ``{}``.
        cache_dir: Folder of the disk cache; ``'default'`` is ``$MMOVSEG_CACHE/text``
            or ``~/.cache/mmovseg/text``, None switches the disk cache off.
        init_cfg: Not used, as there is nothing to initialise.

    Raises:
        ValueError: If the model or the templates are unknown, or the model has
            another tokenizer.

    Attributes:
        embed_dims: D, the width of the shared space of text and image.
        logit_scale: CLIP's own temperature, logarithmic, frozen.

    Source: EOV-Seg, section 3 (text embeddings) and released code (templates, void).
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        templates: str | list[str] = 'vild',
        cache_dir: str | Path | None = 'default',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.templates = get_templates(templates)
        if cache_dir == 'default':
            cache_dir = default_cache_dir()
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        register_tiny_models()
        resolved = resolve_model_name(model_name, pretrained)
        config = open_clip.get_model_config(resolved) or {}
        text_config = config.get('text_cfg', {})
        if text_config.get('hf_tokenizer_name') or text_config.get('hf_model_name'):
            raise ValueError(
                f'{model_name!r} does not use the tokenizer of CLIP, which is the only '
                'one supported; choose another CLIP model.'
            )
        self.clip: nn.Module | None = create_clip(model_name, pretrained)
        self.embed_dims: int = config['embed_dim']
        # Here, not in the tower, because it outlives drop_text_tower().
        self.logit_scale = nn.Parameter(
            self.clip.logit_scale.detach().clone(), requires_grad=False
        )
        del self.clip.visual, self.clip.logit_scale
        self.void_embedding = nn.Embedding(1, self.embed_dims)  # N(0, 1), as released

        self.model_name = model_name
        self._tokenizer = open_clip.get_tokenizer(resolved)
        self._context_names = _find_context_names(self.clip, text_config)
        # What shapes and weights do not tell: heads, activation, pooling.
        self._structure = json.dumps(
            [text_config, config.get('quick_gelu', False)], sort_keys=True
        )
        self._weight_state: tuple | None = None
        self._fingerprint = ''
        self._memory: OrderedDict[Vocabulary, _Entry] = OrderedDict()

    def train(self, mode: bool = True) -> TextClassifier:
        """Switch the mode; the text tower stays in eval."""
        super().train(mode)
        if self.clip is not None:
            self.clip.eval()
        return self

    def init_weights(self) -> None:
        """Do nothing: MMEngine would re-randomise open_clip's modules."""

    def forward(self, vocabulary: Vocabulary) -> TextEmbeddings:
        """Return the text matrix of a vocabulary with the void row at the end.

        Args:
            vocabulary: K classes with V names in all.

        Returns:
            Rows of unit length, ``[V + 1, D]``, on the device and in the dtype of
            ``void_embedding``; only the last one has a gradient.

        Raises:
            ValueError: If a prompt does not fit into the text tower.
            RuntimeError: If the text tower was dropped and the vocabulary is new.
        """
        void = self.void_embedding.weight
        entry = self._lookup(vocabulary)
        weight = torch.cat([entry.weight.to(void.dtype), F.normalize(void, dim=-1)])
        return TextEmbeddings(weight, entry.class_ids, len(vocabulary))

    def encode(self, vocabulary: Vocabulary) -> Tensor:
        """Return the rows of the names alone, ``[V, D]``, from the cache if possible.

        Raises:
            ValueError: If a prompt does not fit into the text tower.
            RuntimeError: If the text tower was dropped and the vocabulary is new.
        """
        return self._lookup(vocabulary).weight.to(self.void_embedding.weight.dtype)

    def drop_text_tower(self) -> None:
        """Free the memory of the text tower.

        Afterwards only vocabularies that are cached, in memory or on disk, can be
        used. The weights must be loaded before.
        """
        if self.clip is not None:
            self._check_weights()
            self.clip = None

    def _lookup(self, vocabulary: Vocabulary) -> _Entry:
        self._check_weights()
        device = self.void_embedding.weight.device
        entry = self._memory.get(vocabulary)
        # Tensors born in inference mode could never take part in training.
        with torch.inference_mode(False), torch.no_grad():
            if entry is None:
                class_ids = (*vocabulary.class_ids, len(vocabulary))
                entry = _Entry(
                    self._read_or_encode(vocabulary), torch.tensor(class_ids)
                )
            if entry.weight.device != device or entry.class_ids.device != device:
                entry = _Entry(entry.weight.to(device), entry.class_ids.to(device))
        self._memory[vocabulary] = entry
        self._memory.move_to_end(vocabulary)
        if len(self._memory) > MEMORY_SIZE:
            self._memory.popitem(last=False)
        return entry

    def _check_weights(self) -> None:
        """Renew the fingerprint and empty the memory if the weights have changed."""
        if self.clip is None:
            return
        # Far cheaper than a hash, and it notices loading into any parent or child.
        state = tuple(
            (p.data_ptr(), p.dtype, 0 if p.is_inference() else p._version)
            for p in self.clip.parameters()
        )
        if state == self._weight_state:
            return
        digest = hashlib.sha256()
        for name, tensor in sorted(self.clip.state_dict().items()):
            digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)};'.encode())
            hash_tensor(digest, tensor)
        if digest.hexdigest() != self._fingerprint:
            self._memory.clear()
        self._weight_state, self._fingerprint = state, digest.hexdigest()

    def _read_or_encode(self, vocabulary: Vocabulary) -> Tensor:
        path = None
        if self.cache_dir is not None:
            content = [
                CACHE_FORMAT,
                self._fingerprint,
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
        if self.clip is None:
            raise RuntimeError(
                f'{vocabulary!r} is not cached and the text tower was dropped; encode '
                'it before drop_text_tower(), or build the model again.'
            )
        weight = self._encode_names(vocabulary)
        if path is not None:
            write_matrix(path, weight)
        return weight

    def _encode_names(self, vocabulary: Vocabulary) -> Tensor:
        """Encode all names, each distinct one once; ``[V, D]``, float32."""
        row = {
            name: index
            for index, name in enumerate(dict.fromkeys(vocabulary.all_names))
        }
        tokens = self._tokenize(list(row), vocabulary)  # [S * T, context]
        num_templates = len(self.templates)
        rows = []
        with tqdm(
            total=len(tokens),
            desc='Text embeddings',
            unit='prompt',
            disable=len(tokens) <= PROGRESS_PROMPTS or not is_main_process(),
        ) as progress:
            for chunk in tokens.split(CHUNK_SIZE * num_templates):
                features = self._encode_tokens(chunk, progress)
                features = F.normalize(features, dim=-1)
                features = features.view(-1, num_templates, self.embed_dims)
                rows.append(F.normalize(features.mean(1), dim=-1))
        return torch.cat(rows)[[row[name] for name in vocabulary.all_names]]

    def _tokenize(self, names: list[str], vocabulary: Vocabulary) -> Tensor:
        """Tokenize names x templates; ``[S * T, context]``, end-of-text included."""
        prompts = [t.replace('{}', name) for name in names for t in self.templates]
        context = self._tokenizer.context_length
        # The tokenizer cuts silently. One place more shows which prompts are too long.
        tokens = self._tokenizer(prompts, context_length=context + 1)
        too_long = tokens[:, context].nonzero().flatten()
        if len(too_long):
            prompt = int(too_long[0])
            name = names[prompt // len(self.templates)]
            class_id = vocabulary.class_ids[vocabulary.all_names.index(name)]
            raise ValueError(
                f'Class {vocabulary.names[class_id]!r}: the prompt {prompts[prompt]!r} '
                f'does not fit into the {context} tokens of {self.model_name!r}; '
                f'shorten the name {name!r}.'
            )
        return tokens[:, :context]

    def _encode_tokens(self, tokens: Tensor, progress: tqdm) -> Tensor:
        """Encode prompts in batches of similar length; ``[P, D]``, float32."""
        encoder = _TextEncoder(self.clip)
        device = next(encoder.parameters()).device
        lengths = tokens.argmax(-1) + 1  # the end-of-text token has the largest id
        features = torch.empty(len(tokens), self.embed_dims, device=device)
        for batch in lengths.argsort(stable=True).split(BATCH_SIZE):
            text = tokens[batch]
            shorter = {}
            if self._context_names is not None:
                # The tower is causal, so what follows the end has no influence.
                length = int(lengths[batch].max())
                text = text[:, :length]
                position, mask = self._context_names
                shorter = {
                    position: encoder.get_parameter(position)[:length],
                    mask: encoder.get_buffer(mask)[:length, :length],
                }
            # Cached for good, so not in the reduced precision of the moment.
            with torch.autocast(device.type, enabled=False):
                encoded = functional_call(encoder, shorter, (text.to(device),))
            features[batch.to(device)] = encoded.float()
            progress.update(len(batch))
        return features


class _TextEncoder(nn.Module):
    """``encode_text`` as ``forward``, the method that functional_call calls."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, tokens: Tensor) -> Tensor:
        return self.clip.encode_text(tokens)


def _find_context_names(clip: nn.Module, config: dict) -> tuple[str, str] | None:
    """Name the two tensors to cut with the tokens; None if that is not exact."""
    if config.get('embed_cls') or config.get('pool_type', 'argmax') != 'argmax':
        return None  # the feature is not read at the end-of-text token
    known = {name for name, _ in [*clip.named_parameters(), *clip.named_buffers()]}
    for prefix in ('', 'text.'):  # open_clip's CLIP and CustomTextCLIP
        # Without a causal mask the padding has influence, and there is no attn_mask.
        names = (f'{prefix}positional_embedding', f'{prefix}attn_mask')
        if known.issuperset(names):
            return f'clip.{names[0]}', f'clip.{names[1]}'
    return None
