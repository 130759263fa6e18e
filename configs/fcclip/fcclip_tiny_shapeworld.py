"""FC-CLIP, tiny, on drawn shapes.

No paper reports this; the packaged checkpoint was trained by
projects/shapeworld/recipes/fcclip_tiny.py.
"""

_base_ = [
    '../_base_/models/fcclip_tiny.py',
    '../_base_/datasets/shapeworld.py',
    '../_base_/schedules/adamw_tiny.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary, test_vocabulary=_base_.vocabulary
)
# A third larger than drawn: its CLIP names such pictures best.
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (256, 256)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
