"""EOV-Seg, tiny, with EAF, without vocabulary-aware selection.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation eovseg-4
"""

_base_ = [
    '../../../configs/_base_/models/eovseg_tiny.py',
    '../../../configs/_base_/datasets/shapeworld.py',
    '../../../configs/_base_/schedules/adamw_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
custom_imports = dict(imports=['projects.eovseg_ablations'])
model = dict(
    neck=dict(text_channels=None),
    decoder=dict(type='EarlyFusionDecoder', head=dict(type='MaskEmbedHead')),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
