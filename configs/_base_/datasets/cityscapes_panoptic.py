"""Cityscapes, gtFine: panoptic, instance, semantic; 8 things, 11 stuff; test only.

    cityscapes/leftImg8bit/val/CITY/*_leftImg8bit.png
    cityscapes/gtFine/cityscapes_panoptic_val.json and cityscapes_panoptic_val/*.png
    cityscapes/gtFine/cityscapes_instance_val.json

tools/dataset_converters/cityscapes_panoptic.py makes the derived files; the panoptic
ones are those of cityscapesscripts. AP is that of COCO, not that of cityscapesscripts.
MMOVSEG_DATA names the folder that holds cityscapes/ (default: data).
"""

data_root = '{{$MMOVSEG_DATA:data}}/cityscapes/'
vocabulary = 'cityscapes_19'

test_pipeline = [
    dict(type='LoadImageFromFile'),
    # The size of the photos. The paper gives none for this set; its speed (7.9 FPS
    # here, 11.6 on ADE20K) speaks against 640.
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    dict(
        type='PackInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
    ),
]

test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesPanopticDataset',
        metainfo=dict(vocabulary=vocabulary),
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

panoptic = dict(
    ann_file=data_root + 'gtFine/cityscapes_panoptic_val.json',
    seg_prefix=data_root + 'gtFine/cityscapes_panoptic_val/',
)
test_evaluator = [
    dict(type='PanopticMetric', **panoptic),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'gtFine/cityscapes_instance_val.json',
        metric='segm',
    ),
    dict(type='SemanticMetric', **panoptic),
]
# Nothing to train, so no schedule brings this.
test_cfg = dict(type='TestLoop')
