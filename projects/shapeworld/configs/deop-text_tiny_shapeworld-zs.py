"""DeOP's baseline, tiny, whose text prompt goes on learning in stage 3.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation deop-7
"""

_base_ = [
    '_base_/deop_tiny_baseline.py',
    '../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../configs/_base_/schedules/deop_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
