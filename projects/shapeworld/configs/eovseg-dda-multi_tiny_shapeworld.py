"""EOV-Seg, tiny, with dynamic depthwise attention to maps of several scales.

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
    neck=dict(
        type='MultiScaleNeck',
        num_levels=_base_.model.decoder.num_stages,  # as many as there may be
    ),
    decoder=dict(type='MultiScaleDecoder'),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
