"""FC-CLIP (R50x64): zero-shot on PASCAL Context-459, trained on COCO panoptic.

Released weights: 16.2 mIoU. Ours: not run yet.
Test: tools/dist_test.sh configs/fcclip/fcclip_r50x64_zs-context-459.py CHECKPOINT 4
"""

_base_ = [
    '../_base_/models/fcclip_r50x64.py',
    '../_base_/datasets/context_459.py',
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
