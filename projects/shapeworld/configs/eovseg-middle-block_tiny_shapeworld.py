"""EOV-Seg, tiny: spatial features of the middle block of the ViT.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation eovseg-3
"""

_base_ = [
    '../../../configs/_base_/models/eovseg_tiny.py',
    '../../../configs/_base_/datasets/shapeworld.py',
    '../../../configs/_base_/schedules/adamw_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    # Half of the tiny ViT, as block 5 of 0 to 11 is in the paper.
    spatial_backbone=dict(num_blocks=3),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
