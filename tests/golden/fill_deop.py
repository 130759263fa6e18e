"""Deterministic reference weights for the DeOP and SimBaseline golden tensors.

``fill_state_dict`` turns a table ``{parameter name: shape}`` (the
``state_dict`` entry of the ``deop_*.json`` / ``simbaseline_*.json`` files)
into a complete state dict.  A tensor depends on its own name and shape only,
so any subset of the table can be rebuilt and the order is irrelevant.  The
names are the reference names; convert the filled reference state dict with
your checkpoint converter.

Random source of a tensor called ``name``::

    n = numpy.random.RandomState(zlib.crc32(name.encode('utf-8')))
             .standard_normal(shape)                    # float64, C order

``last`` is the last dotted part of the name, ``fan`` the product of all
dimensions but the first.  The first matching line decides (always float32):

=====================================================  =======================
rule                                                   value
=====================================================  =======================
last in (pixel_mean, pixel_std)                        255 * CLIP mean / std,
                                                       reshaped to the shape
last == logit_scale                                    4.6
last == empty_weight (class weights of the loss)       1, final entry 0.1
last in (start|dot|end|pad)_signal                     row 49406|269|49407|0 of
                                                       the sibling
                                                       clip_model.token_embedding
name ends with mask_embed.layers.2.bias                0.1 m
name ends with pixel_decoder.mask_features.bias        -0.1 m
last == running_mean                                   0.1 n
last == running_var                                    1 + 0.1 |n|
name ends with token_embedding.weight,                 GAIN * n
query_embed.weight, query_embedding.weight,
prefix_prompt, suffix_prompt, non_object_embedding
last in (positional_embedding, class_embedding,        0.3 n
learned_position, deep_prompt_embeddings)
fewer than two dimensions, last == weight (norms)      1 + 0.1 n
fewer than two dimensions, otherwise (biases)          0.02 n
two or more dimensions, shape[1] == 3 (image convs)    GAIN * n / sqrt(fan)
two or more dimensions                                 GAIN * c / sqrt(fan)
=====================================================  =======================

``m`` is ``n`` drawn with the seed string ``'mask offset'`` instead of the
name: the product of the two biases is a common negative offset of all mask
logits.  ``c`` is ``n`` minus its mean over all dimensions but the first.
``GAIN`` is 1 unless the name matches an entry of ``GAINS`` (first match wins).
"""

import re
import zlib

import numpy as np
import torch

GAINS = (
    (r'^backbone\..*conv\d\.weight$', 1.2),
    (r'predictor\.query_embed\.weight$', 3.0),
    (r'predictor\.transformer\..*in_proj_weight$', 2.0),
    (r'^query_embedding\.weight$', 3.0),
    (r'^decoder\.layers\..*in_proj_weight$', 3.0),
    (r'^decoder\.outlayer\.multihead_attn_my\.in_proj_weight$', 4.0),
    (r'visual\.conv1\.weight$', 3.0),
    (r'visual\..*\.mlp\.c_fc\.weight$', 2.0),
    (r'visual\.transformer\.resblocks\.(11|23)\.attn\.out_proj\.weight$', 0.5),
    (r'clip_model\..*\.in_proj_weight$', 3.0),
)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
SIGNAL_ROWS = dict(start_signal=49406, dot_signal=269, end_signal=49407, pad_signal=0)
UNIT = (
    'token_embedding.weight',
    'query_embed.weight',
    'query_embedding.weight',
    'prefix_prompt',
    'suffix_prompt',
    'non_object_embedding',
)
SMALL = (
    'positional_embedding',
    'class_embedding',
    'learned_position',
    'deep_prompt_embeddings',
)


def _gain(name):
    for pattern, gain in GAINS:
        if re.search(pattern, name):
            return gain
    return 1.0


def _normal(seed, shape):
    rng = np.random.RandomState(zlib.crc32(seed.encode('utf-8')))
    return np.asarray(rng.standard_normal(shape), dtype=np.float64)


def fill_tensor(name, shape):
    """Return the reference tensor for one parameter or buffer."""
    shape = tuple(int(s) for s in shape)
    last = name.rsplit('.', 1)[-1]
    if last in ('pixel_mean', 'pixel_std'):
        value = CLIP_MEAN if last == 'pixel_mean' else CLIP_STD
        return torch.tensor(value, dtype=torch.float32).reshape(shape) * 255.0
    if last == 'logit_scale':
        return torch.full(shape, 4.6, dtype=torch.float32)
    if last == 'empty_weight':
        value = torch.ones(shape, dtype=torch.float32)
        value[-1] = 0.1
        return value
    if last in SIGNAL_ROWS:
        table = name.rsplit('prompt_learner.', 1)[0]
        table = fill_tensor(
            table + 'clip_model.token_embedding.weight', (49408, shape[1])
        )
        return table[SIGNAL_ROWS[last]][None].clone()
    if name.endswith('mask_embed.layers.2.bias'):
        value = 0.1 * _normal('mask offset', shape)
    elif name.endswith('pixel_decoder.mask_features.bias'):
        value = -0.1 * _normal('mask offset', shape)
    else:
        n = _normal(name, shape)
        if last == 'running_mean':
            value = 0.1 * n
        elif last == 'running_var':
            value = 1.0 + 0.1 * np.abs(n)
        elif name.endswith(UNIT):
            value = _gain(name) * n
        elif last in SMALL:
            value = 0.3 * n
        elif len(shape) < 2:
            value = 1.0 + 0.1 * n if last == 'weight' else 0.02 * n
        else:
            if shape[1] != 3:
                n = n - n.reshape(shape[0], -1).mean(1).reshape(
                    (shape[0],) + (1,) * (len(shape) - 1)
                )
            value = _gain(name) * n / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.ascontiguousarray(value, dtype=np.float32))


def fill_state_dict(shapes):
    """Return ``{name: tensor}`` for a ``{name: shape}`` table."""
    return {name: fill_tensor(name, shape) for name, shape in shapes.items()}
