"""DeOP, tiny, with the convolutional heatmap decoder of equation 4, K = 3.

The paper and ours: docs/ablations.md.
Train: python -m projects.shapeworld.run_ablation deop-5
"""

_base_ = [
    '_base_/deop_tiny_baseline.py',
    '../../../configs/_base_/datasets/shapeworld_zs.py',
    '../../../configs/_base_/schedules/deop_tiny.py',
    '../../../configs/_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        severance=[dict(block=-1, mode='generalized', alpha=1.0)],
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2], resolution=128),
    ),
    # As wide as the feed-forward network of the anchor queries; the paper has 512.
    head=dict(type='ConvCALHead', num_layers=3, channels=128),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
