"""EOV-Seg, tiny, on drawn shapes: the whole framework in minutes on two cores.

No paper reports this; it is what `make demo` trains and evaluates.
Train: make demo
"""

_base_ = [
    '../_base_/models/eovseg_tiny.py',
    '../_base_/datasets/shapeworld.py',
    '../_base_/schedules/adamw_tiny.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.train_vocabulary, test_vocabulary=_base_.vocabulary
)
