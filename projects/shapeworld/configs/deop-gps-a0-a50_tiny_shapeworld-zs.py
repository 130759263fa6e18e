"""DeOP's baseline, tiny, with severance of alpha 0.5 in the last block; no stage 3.

The paper and ours: docs/ablations.md.
Test: python -m projects.shapeworld.run_ablation deop-4
"""

_base_ = [
    '_base_/deop_tiny_baseline.py',
    '../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    backbone=dict(severance=[dict(block=-1, alpha=0.5)]),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
# Nothing to train here.
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_cfg = dict(type='TestLoop')
