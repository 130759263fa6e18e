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
        init_cfg: Not used, as there is nothing to initialise.

    Raises:
        ValueError: If the model or the templates are unknown, the model has another
            tokenizer, or both templates and a prompt learner are given.

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
        templates: str | list[str] | None = None,
        prompt_learner: dict | None = None,
        void_std: float = 1.0,
        cache_dir: str | Path | None = 'default',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if prompt_learner is not None and templates is not None:
            raise ValueError(
                f'A prompt learner takes the place of templates {templates!r}: leave '
                'one of them out.'
            )
        self.templates = ['{}']
        if prompt_learner is None:
            self.templates = get_templates('vild' if templates is None else templates)
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
        self.void_embedding = nn.Embedding(1, self.embed_dims)
        nn.init.normal_(self.void_embedding.weight, std=void_std)

        self.model_name = model_name
        self._tokenizer = open_clip.get_tokenizer(resolved)
        self._context_names = _find_context_names(self.clip, text_config)
        self.prompt_learner: nn.Module | None = None
        if prompt_learner is not None:
            self.prompt_learner = self._build_learner(prompt_learner)
        # What shapes and weights do not tell: heads, activation, pooling.
        self._structure = json.dumps(
            [text_config, config.get('quick_gelu', False)], sort_keys=True
        )
        self._weight_state: tuple | None = None
        self._fingerprint = ''
        self._memory: OrderedDict[Vocabulary, _Entry] = OrderedDict()

    def _build_learner(self, config: dict) -> nn.Module:
        if self._context_names is None:
            raise ValueError(
                f'No prompt can be learnt for {self.model_name!r}: its text tower does '
                'not read the feature at the end of the text, as CLIP does.'
            )
        table = _TextEncoder(self.clip).get_parameter(self._context_names.table)
        return MODELS.build(config, default_args=dict(channels=table.shape[1]))

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
            ``void_embedding``. The last one has a gradient, the others if they come
            from a prompt that is being trained.

        Raises:
            ValueError: If a prompt does not fit into the text tower.
            RuntimeError: If the text tower was dropped and the vocabulary is new.
        """
        void = self.void_embedding.weight
        if self._is_learning():
            class_ids = (*vocabulary.class_ids, len(vocabulary))
            entry = _Entry(
                self._encode_names(vocabulary),
                torch.tensor(class_ids, device=void.device),
            )
        else:
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

    @property
    def fingerprint(self) -> str:
        """A hash of all that the rows of names depend on: weights, templates, prompt."""
        self._check_weights()
        content = [self._fingerprint, self._structure, list(self.templates)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def drop_text_tower(self) -> None:
        """Free the memory of the text tower.

        Afterwards only vocabularies that are cached, in memory or on disk, can be
        used. The weights must be loaded before.
        """
        if self.clip is not None:
            self._check_weights()
            self.clip = None

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

    def _encoder_parts(self) -> list[nn.Module]:
        """What the rows of the names depend on."""
        return [part for part in (self.clip, self.prompt_learner) if part is not None]

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
            for part in self._encoder_parts()
            for p in part.parameters()
        )
        if state == self._weight_state:
            return
        digest = hashlib.sha256()
        for part in self._encoder_parts():
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)};'.encode())
                hash_tensor(digest, tensor)
        if digest.hexdigest() != self._fingerprint:
            self._memory.clear()
        self._weight_state, self._fingerprint = state, digest.hexdigest()

    def _read_or_encode(self, vocabulary: Vocabulary) -> Tensor:
        path = None
        # A prompt that is still being trained would leave a file at every validation.
        if self.cache_dir is not None and not self._has_trainable_prompt():
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
        if self.prompt_learner is not None:
            tokens = self._surround(tokens)
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

    def _surround(self, tokens: Tensor) -> Tensor:
        """Put the learned prompt around names; ``[P, context + 1]``."""
        start, stop, end, *_ = self._tokenizer(['.'])[0].tolist()
        result = torch.zeros_like(tokens)
        for row, name in zip(result, tokens.tolist(), strict=True):
            length = name.index(end) if end in name else len(name)
            ids = [start, *self.prompt_learner.surround(name[1:length]), stop, end]
            ids = ids[: len(row)]
            row[: len(ids)] = torch.tensor(ids)
        return result

    def _encode_tokens(self, tokens: Tensor, progress: tqdm) -> Tensor:
        """Encode prompts in batches of similar length; ``[P, D]``, float32."""
        encoder = _TextEncoder(self.clip)
        device = next(encoder.parameters()).device
        lengths = tokens.argmax(-1) + 1  # the end-of-text token has the largest id
        features = torch.empty(len(tokens), self.embed_dims, device=device)
        for batch in lengths.argsort(stable=True).split(BATCH_SIZE):
            text = tokens[batch].to(device)
            replaced = {}
            if self._context_names is not None:
                # The tower is causal, so what follows the end has no influence.
                length = int(lengths[batch].max())
                text = text[:, :length]
                table, position, mask = self._context_names
                replaced = {
                    position: encoder.get_parameter(position)[:length],
                    mask: encoder.get_buffer(mask)[:length, :length],
                }
                if self.prompt_learner is not None:
                    embedding = encoder.get_parameter(table)
                    replaced[table], text = self.prompt_learner.table(text, embedding)
            # Cached for good, so not in the reduced precision of the moment.
            with torch.autocast(device.type, enabled=False):
                encoded = functional_call(encoder, replaced, (text,))
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


class _ContextNames(NamedTuple):
    """Tensors of the text tower by their names in :class:`_TextEncoder`."""

    table: str  # token embeddings
    position: str
    mask: str  # causal


def _find_context_names(clip: nn.Module, config: dict) -> _ContextNames | None:
    """Name the tensors that follow the tokens; None if cutting is not exact."""
    if config.get('embed_cls') or config.get('pool_type', 'argmax') != 'argmax':
        return None  # the feature is not read at the end-of-text token
    known = {name for name, _ in [*clip.named_parameters(), *clip.named_buffers()]}
    for prefix in ('', 'text.'):  # open_clip's CLIP and CustomTextCLIP
        # Without a causal mask the padding has influence, and there is no attn_mask.
        names = (f'{prefix}positional_embedding', f'{prefix}attn_mask')
        if known.issuperset(names):
            table = f'clip.{prefix}token_embedding.weight'
            return _ContextNames(table, f'clip.{names[0]}', f'clip.{names[1]}')
    return None
