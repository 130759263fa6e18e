"""DeOP on the instances that a whole Mask R-CNN of mmdet finds."""

_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
default_scope = 'mmovseg'
clip = dict(model_name='tiny-vit')
detector = _base_.model
detector.backbone.update(
    depth=18,
    base_channels=8,
    stem_channels=16,
    norm_cfg=dict(type='BN'),
    init_cfg=None,  # weights come with load_from
)
detector.neck.in_channels = [8, 16, 32, 64]
detector.test_cfg.rcnn.score_thr = 0.0  # random weights are sure of nothing
model = dict(
    _delete_=True,
    type='DeOP',
    data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32),
    proposals=dict(type='DetectorProposals', detector=detector, num_proposals=8),
    backbone=dict(type='DenseCLIPViT', **clip),
    head=dict(type='CALHead', num_queries=8),
    text_classifier=dict(type='TextClassifier', templates=['a {}'], **clip),
    criterion=dict(type='SemanticMapLoss'),
    fusion=dict(type='MaskFusion', panoptic=False, instance=False),
    train_vocabulary=['thing: dog', 'thing: cat', 'thing: cup', 'thing: car', 'grass'],
)
