"""DeOP's baseline, tiny, with added visual prompts; the text prompt is frozen.

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
    backbone=dict(
        visual_prompt=dict(type='AddedPrompt', blocks=[1, 2], resolution=128),
    ),
    text_classifier=dict(prompt_learner=dict(frozen=True)),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
