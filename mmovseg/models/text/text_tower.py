"""From names to a matrix, by the text tower of a CLIP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from mmengine.dist import is_main_process
from torch import Tensor, nn

from ...progress import Progress
from ...registry import MODELS
from ...vocabulary import Vocabulary
from ..clip import create_clip, register_tiny_models, resolve_model_name
from ..ops import without_autocast
from .shared_towers import find_or_make
from .text_cache import PartCache

BATCH_SIZE = 128  # Prompts per pass through the tower. Larger ones are not faster.
CHUNK_SIZE = 1024  # Names whose prompt features are in memory together.
PROGRESS_PROMPTS = 500  # Progress is shown from here on; about 5 s of RN50 on 2 cores.


class TextTower:
    """Encode names with templates, or with a learned prompt.

    Every name is put into every template and encoded by a frozen CLIP text tower; the
    unit features of the templates are averaged and normalized.

    Towers of one name and the same weights in one model are one: see
    :mod:`~mmovseg.models.text.shared_towers`.

    This is no module: its two modules are registered by the text classifier, under the
    names that checkpoints have.

    Args:
        model_name: A name of open_clip whose text tower uses CLIP's own tokenizer.
        pretrained: As in :func:`~mmovseg.models.clip.create_clip`.
        templates: Strings with ``{}``.

    Attributes:
        clip: A CLIP of open_clip without image tower and temperature.
        prompt_learner: None, or what :meth:`learn_prompt` made.
        embed_dims: D, the width of the shared space of text and image.
        logit_scale: CLIP's own temperature, logarithmic.
        structure: What weights and shapes do not tell: heads, activation, pooling.

    Raises:
        ValueError: If the model is unknown or has another tokenizer.
    """

    def __init__(
        self,
        model_name: str,
        pretrained: str | None = None,
        *,
        templates: Sequence[str],
    ) -> None:
        register_tiny_models()
        resolved = resolve_model_name(model_name, pretrained)
        config = open_clip.get_model_config(resolved) or {}
        text_config = config.get('text_cfg', {})
        if text_config.get('hf_tokenizer_name') or text_config.get('hf_model_name'):
            raise ValueError(
                f'{model_name!r} does not use the tokenizer of CLIP, which is the only '
                'one supported; choose another CLIP model.'
            )
        self.model_name = model_name
        self.templates = list(templates)
        self.clip: Any
        self.clip, logit_scale = find_or_make(
            (model_name, None if pretrained is None else str(pretrained)),
            lambda: _create_text_side(model_name, pretrained),
        )
        self.embed_dims: int = config['embed_dim']
        self.logit_scale = logit_scale.clone()
        self.structure = json.dumps(
            [text_config, config.get('quick_gelu', False)], sort_keys=True
        )
        self._tokenizer = open_clip.get_tokenizer(resolved)
        self._is_causal = _is_causal(self._layers, text_config)
        self.prompt_learner: Any = None

    def learn_prompt(self, config: dict) -> nn.Module:
        """Put a learned prompt around every name from now on.

        Args:
            config: Of a ``PromptLearner``.

        Raises:
            ValueError: If no prompt can be learned for this tower.
        """
        if not self._is_causal:
            raise ValueError(
                f'No prompt can be learned for {self.model_name!r}: its text tower '
                'does not read the feature at the end of the text, as CLIP does.'
            )
        channels = self._layers.token_embedding.weight.shape[1]
        self.prompt_learner = MODELS.build(config, default_args=dict(channels=channels))
        return self.prompt_learner

    @property
    def _layers(self) -> Any:
        """The module that has the layers: open_clip's CLIP has them itself."""
        return getattr(self.clip, 'text', self.clip)

    def encode(self, vocabulary: Vocabulary, parts: PartCache | None = None) -> Tensor:
        """Encode all names of a vocabulary, each distinct one once.

        Args:
            vocabulary: The names.
            parts: Where the rows of each thousand names are kept while there are more,
                so that a run that was stopped goes on from there.

        Returns:
            Rows of unit length, float32, ``[V, D]``.

        Raises:
            ValueError: If a prompt does not fit into the tower.
        """
        names = list(dict.fromkeys(vocabulary.all_names))
        chunks = [names[i : i + CHUNK_SIZE] for i in range(0, len(names), CHUNK_SIZE)]
        if len(chunks) > 1:
            # A name that is too long should not be found after half an hour.
            longest = max(self.templates, key=len)
            for chunk in chunks:
                self._tokenize(chunk, [longest], vocabulary)
        else:
            parts = None
        rows = []
        count = len(names) * len(self.templates)
        with Progress(
            count,
            'Text embeddings',
            'prompt',
            disable=count <= PROGRESS_PROMPTS or not is_main_process(),
        ) as progress:
            for index, chunk in enumerate(chunks):
                shape = len(chunk), self.embed_dims
                found = None if parts is None else parts.read(index, shape)
                if found is None:
                    found = self._encode_names(chunk, vocabulary, progress)
                    if parts is not None:
                        parts.write(index, found)
                else:
                    progress.update(len(chunk) * len(self.templates))
                rows.append(found.to(next(self.clip.parameters()).device))
        row = {name: index for index, name in enumerate(names)}
        return torch.cat(rows)[[row[name] for name in vocabulary.all_names]]

    def _encode_names(
        self, names: list[str], vocabulary: Vocabulary, progress: Progress
    ) -> Tensor:
        """Average the features of each name over the templates, ``[S, D]``."""
        tokens = self._tokenize(names, self.templates, vocabulary)  # [S * T, context]
        features = F.normalize(self._encode_prompts(tokens, progress), dim=-1)
        features = features.view(-1, len(self.templates), self.embed_dims)
        return F.normalize(features.mean(1), dim=-1)

    def _tokenize(
        self, names: list[str], templates: Sequence[str], vocabulary: Vocabulary
    ) -> Tensor:
        """Tokenize names x templates; ``[S * T, context]``, end-of-text included."""
        prompts = [t.replace('{}', name) for name in names for t in templates]
        context = self._tokenizer.context_length
        # The tokenizer cuts silently. One place more shows which prompts are too long.
        tokens = self._tokenizer(prompts, context_length=context + 1)
        if self.prompt_learner is not None:
            tokens = self._surround(tokens)
        too_long = tokens[:, context].nonzero().flatten()
        if len(too_long):
            prompt = int(too_long[0])
            name = names[prompt // len(templates)]
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

    def _encode_prompts(self, tokens: Tensor, progress: Progress) -> Tensor:
        """Encode prompts in batches of similar length; ``[P, D]``, float32."""
        device = next(self.clip.parameters()).device
        lengths = tokens.argmax(-1) + 1  # the end-of-text token has the largest id
        features = torch.empty(len(tokens), self.embed_dims, device=device)
        for batch in lengths.argsort(stable=True).split(BATCH_SIZE):
            text = tokens[batch]
            if self._is_causal:  # what follows the end has no influence
                text = text[:, : int(lengths[batch].max())]
            # Cached for good, so not in the reduced precision of the moment.
            with without_autocast(device):
                encoded = self._encode_batch(text.to(device))
            features[batch.to(device)] = encoded.float()
            progress.update(len(batch))
        return features

    def _encode_batch(self, tokens: Tensor) -> Tensor:
        """Encode prompts ``[P, T]``, as open_clip does it for its full context.

        Returns:
            ``[P, D]``.
        """
        if not self._is_causal:
            return self.clip.encode_text(tokens)
        layers, length = self._layers, tokens.shape[1]
        dtype = layers.transformer.get_cast_dtype()
        # Step 1: a vector for each token, or for each place of the learned prompt.
        x = layers.token_embedding(tokens.clamp(min=0))  # [P, T, C]
        if self.prompt_learner is not None:
            x = self.prompt_learner(x, tokens)
        # Step 2: positions and causal attention, of the places that there are.
        x = x.to(dtype) + layers.positional_embedding[:length].to(dtype)
        x = layers.transformer(x, attn_mask=layers.attn_mask[:length, :length])
        # Step 3: the feature at the end of the text, in the shared space.
        x = layers.ln_final(x)[torch.arange(len(x)), tokens.argmax(-1)]  # [P, C]
        projection = layers.text_projection
        if isinstance(projection, nn.Linear):
            return projection(x)
        return x if projection is None else x @ projection


def _create_text_side(model_name: str, pretrained: str | None) -> tuple[Any, Tensor]:
    """Build a CLIP without image tower and temperature; return it and the latter."""
    clip = create_clip(model_name, pretrained)
    logit_scale = clip.logit_scale.detach().clone()
    del clip.visual, clip.logit_scale
    return clip, logit_scale


def _is_causal(layers: nn.Module, config: dict) -> bool:
    """Whether the feature is read at the end and depends on nothing behind it."""
    if config.get('embed_cls') or config.get('pool_type', 'argmax') != 'argmax':
        return False
    # Without a causal mask the padding has influence.
    return getattr(layers, 'attn_mask', None) is not None
