"""DeOP's baseline+ with classification anchors, tiny: DeOP without severance.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation deop-3
"""

_base_ = [
    '../../../configs/_base_/models/deop_tiny.py',
    '../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../configs/_base_/schedules/deop_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
