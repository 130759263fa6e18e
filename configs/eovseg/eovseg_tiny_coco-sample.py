"""EOV-Seg, tiny, learns three real COCO photos by heart: a check of the data path.

No paper reports this; the photos are no part of this repository (COCO val2017 39769,
142238 and 439180); the environment variable MMOVSEG_DATA names their folder.
Train: python tools/train.py configs/eovseg/eovseg_tiny_coco-sample.py
"""

_base_ = [
    '../_base_/models/eovseg_tiny.py',
    '../_base_/datasets/coco_sample.py',
    '../_base_/schedules/adamw_tiny.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary=_base_.vocabulary,
    test_vocabulary=_base_.vocabulary,
    decoder=dict(num_queries=60),  # one photo has 32 segments
)
