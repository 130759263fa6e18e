"""EOV-Seg, tiny, with cross-attention to one map.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation eovseg-5
"""

_base_ = [
    '../../../configs/_base_/models/eovseg_tiny.py',
    '../../../configs/_base_/datasets/shapeworld.py',
    '../../../configs/_base_/schedules/adamw_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports=['projects.eovseg_ablations'])
model = dict(
    decoder=dict(type='CrossAttentionDecoder'),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
