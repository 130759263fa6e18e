"""DeOP, tiny, with 5 layers of anchor queries.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation deop-5
"""

_base_ = [
    '../../../configs/_base_/models/deop_tiny.py',
    '../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../configs/_base_/schedules/deop_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    head=dict(num_layers=5),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
