"""FC-CLIP (ConvNeXt-L): zero-shot on PASCAL VOC-21, trained on COCO panoptic.

Released weights: 81.8 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_convnext-l_zs-voc-21.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_convnext-l.py',
    '../_base_/datasets/voc_21.py',
    '../_base_/default_runtime.py',
]
model = dict(
    train_vocabulary='coco_panoptic',
    test_vocabulary=_base_.vocabulary,
    # The labels are semantic. The released code resizes scores, not logits.
    fusion=dict(panoptic=False, instance=False, resize_probabilities=True),
)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(scale=800, max_size=1333)  # the released size
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
