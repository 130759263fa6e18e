"""DeOP's baseline, tiny, with prepended visual prompts; the text prompt is frozen.

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
    # Blocks as where prompts are added; 5 tokens as in the released code.
    backbone=dict(
        visual_prompt=dict(type='PrependedPrompt', blocks=[1, 2], num_tokens=5),
    ),
    text_classifier=dict(prompt_learner=dict(frozen=True)),
    train_vocabulary=_base_.train_vocabulary,
    test_vocabulary=_base_.vocabulary,
)
