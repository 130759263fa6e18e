"""EOV-Seg (L): zero-shot on ADE20K-150, photos of 800 by at most 1333 pixels.

Paper: arXiv 2412.08628, table of input scales, 23.1 PQ. Ours: not trained yet.
Test: tools/dist_test.sh configs/eovseg/eovseg_convnext-l_zs-ade20k-800.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/eovseg_convnext-l.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/default_runtime.py',
]
model = dict(train_vocabulary='coco_panoptic', test_vocabulary=_base_.vocabulary)

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(
        type='LoadSemanticAnnotations',
        class_values=list(range(1, 151)),
        path_key='sem_seg_map_path',
    ),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
