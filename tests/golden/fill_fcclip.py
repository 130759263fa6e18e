"""Deterministic reference weights for the FC-CLIP golden tensors.

The scheme is that of ``fill.py``: a tensor depends on its own name and shape
alone, and the seed is the CRC-32 of the name.  The names are those of the
official state dict (``state_dict`` entry of ``fcclip_*.json``).  The first
matching line below decides; whatever matches none is filled by ``fill.py``
(read its docstring: ``n``, ``n0`` and ``fan`` are explained there).

==========================================================  ==================
rule                                                        value
==========================================================  ==================
name is sem_seg_head.predictor.logit_scale                  4.3 (exp 73.7, not
                                                            clamped; CLIP's own
                                                            4.7 is clamped)
name ends with query_feat.weight, query_embed.weight or     n
transformer.level_embed
name ends with predictor.level_embed.weight                 0.3 n
name ends with mask_embed.layers.2.bias                     0.14 m
name ends with pixel_decoder.mask_features.bias             -0.14 m
name starts with sem_seg_head.predictor and ends with an    gain n0 / sqrt(fan)
entry of GAINS
==========================================================  ==================

``m`` is the normal sample of the string ``'mask offset'`` instead of the
name: the product of the two biases is a common negative offset of all mask
logits, so that masks are small and a few of them empty.  The small gains keep
the queries distinct and the chain of hard attention masks stable: with larger
ones a single flipped attention pixel grows through the layers until every
query differs.
"""

import zlib

import fill
import numpy as np
import torch

UNIT = ('query_feat.weight', 'query_embed.weight', 'transformer.level_embed')
GAINS = (
    ('attn.in_proj_weight', 1.5),
    ('attn.out_proj.weight', 0.05),
    ('.linear2.weight', 0.05),
    ('mask_embed.layers.2.weight', 2.0),
)


def _normal(seed, shape):
    rng = np.random.RandomState(zlib.crc32(seed.encode('utf-8')))
    return np.asarray(rng.standard_normal(shape))


def _value(name, shape):
    if name.endswith(UNIT):
        return _normal(name, shape)
    if name.endswith('predictor.level_embed.weight'):
        return 0.3 * _normal(name, shape)
    if name.endswith('mask_embed.layers.2.bias'):
        return 0.14 * _normal('mask offset', shape)
    if name.endswith('pixel_decoder.mask_features.bias'):
        return -0.14 * _normal('mask offset', shape)
    if name.startswith('sem_seg_head.predictor.'):
        for ending, gain in GAINS:
            if name.endswith(ending):
                n = _normal(name, shape)
                centred = n - n.mean(1, keepdims=True)
                return gain * centred / np.sqrt(shape[1])
    return None


def fill_tensor(name, shape):
    """Return the reference tensor of one parameter or buffer."""
    shape = tuple(int(size) for size in shape)
    if name == 'sem_seg_head.predictor.logit_scale':
        return torch.full(shape, 4.3, dtype=torch.float32)
    value = _value(name, shape)
    if value is None:
        return fill.fill_tensor(name, shape)
    return torch.from_numpy(np.array(value, dtype=np.float32, order='C'))


def fill_state_dict(shapes):
    """Return ``{name: tensor}`` for a ``{name: shape}`` table."""
    return {name: fill_tensor(name, shape) for name, shape in shapes.items()}
