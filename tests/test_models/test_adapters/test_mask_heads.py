"""A decoder gives the same numbers in the heads for mmseg and mmdet as in EOV-Seg."""

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmovseg.models.structures import MaskPrediction
from mmovseg.registry import MODELS

TEXT = dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}'])
NAMES = ['thing: dog', 'thing: cat', 'stuff: grass']
CHANNELS = [64, 128, 256, 512]
PARTS = dict(
    neck=dict(type='VASNeck', hidden_channels=8, out_channels=16),
    decoder=dict(
        type='LiteDecoder',
        channels=16,
        num_stages=2,
        num_queries=5,
        head=dict(type='MaskEmbedHead'),
    ),
    criterion=dict(type='MaskSetLoss', num_points=32),
)


@pytest.fixture(scope='module')
def eovseg():
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='EOVSeg',
            backbone=dict(type='CLIPConvBackbone', model_name='tiny-rn'),
            spatial_backbone=None,
            text_classifier=TEXT,
            fusion=dict(type='MaskFusion'),
            train_vocabulary=NAMES,
            **PARTS,
        )
    ).eval()


def load_from(head, model):
    """Copy neck, decoder and text of a model into a head."""
    head.neck.load_state_dict(model.neck.state_dict())
    head.decoder.load_state_dict(model.decoder.state_dict())
    head.names.classifier.load_state_dict(model.text_classifier.state_dict())
    return head.eval()


def sample():
    """One thing and the stuff around it, in both packages' fields."""
    data = BaseDataElement(
        metainfo=dict(img_shape=(64, 96), ori_shape=(64, 96), pad_shape=(64, 96))
    )
    data.set_metainfo(dict(batch_input_shape=(64, 96)))
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 10:40, 20:60] = True
    data.gt_instances = InstanceData(labels=torch.tensor([1]), masks=masks)
    label_map = torch.where(masks, 1, 2)
    data.gt_sem_seg = PixelData(sem_seg=label_map, data=label_map)
    return data


@torch.no_grad()
def test_decode_head_has_the_semantic_result_of_eovseg(eovseg):
    head = MODELS.build(
        dict(
            type='MaskDecodeHead',
            in_channels=CHANNELS,
            vocabulary=NAMES,
            text=TEXT,
            **PARTS,
        )
    )
    load_from(head, eovseg)
    images = torch.randn(1, 3, 64, 96)
    [expected] = eovseg.predict(images, [sample()], results=['semantic'])
    meta = sample().metainfo
    scores = head.predict(eovseg.backbone(images), [meta], None)
    assert scores.shape == (1, 3, 64, 96) and head.out_channels == head.num_classes == 3
    assert torch.equal(scores.argmax(1), expected.pred_sem_seg.sem_seg)
    assert head(eovseg.backbone(images)).shape == (1, 3, 16, 24)


def test_panoptic_head_and_fusion_have_the_results_and_losses_of_eovseg(eovseg):
    counts = dict(num_things_classes=2, num_stuff_classes=1)
    head = MODELS.build(
        dict(
            type='MaskPanopticHead',
            in_channels=CHANNELS,
            vocabulary=NAMES,
            text=TEXT,
            **counts,
            **PARTS,
        )
    )
    load_from(head, eovseg)
    fusion = MODELS.build(
        dict(
            type='MaskFusionHead',
            vocabulary=NAMES,
            test_cfg=dict(panoptic_on=True, instance_on=True, max_per_image=7),
            **counts,
        )
    )
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features = eovseg.backbone(images)
        results = fusion.predict(*head.predict(features, [sample()]), [sample()], True)
        eovseg.fusion.max_per_image = 7
        [expected] = eovseg.predict(images, [sample()])
    eovseg.fusion.max_per_image = 100
    [found] = results
    assert torch.equal(found['pan_results'].sem_seg, expected.pred_panoptic_seg.sem_seg)
    assert torch.equal(found['ins_results'].masks, expected.pred_instances.masks)
    assert torch.equal(found['ins_results'].scores, expected.pred_instances.scores)
    torch.manual_seed(1)
    theirs = head.train().loss(features, [sample()])
    torch.manual_seed(1)
    ours = eovseg.train().loss(images, [sample()])
    eovseg.eval()
    assert theirs.keys() == ours.keys()
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value)


def test_classes_by_number_and_a_spatial_map(seed):
    decoder = dict(PARTS['decoder'], head=dict(type='TDEEHead'))
    head = MODELS.build(
        dict(
            PARTS,
            type='MaskDecodeHead',
            in_channels=CHANNELS,
            num_classes=3,
            embed_channels=8,
            spatial_index=2,
            decoder=decoder,
            neck=dict(PARTS['neck'], text_channels=None),
        )
    )
    maps = [
        torch.randn(1, c, 64 // s, 96 // s)
        for c, s in zip(CHANNELS, (4, 8, 16, 32), strict=True)
    ]
    losses = head.train().loss(maps, [sample()])
    sum(losses.values()).backward()
    assert head.names.rows.weight.grad.any()
    with pytest.raises(ValueError, match='turn them around, the finest'):
        head(maps[::-1])
    with pytest.raises(
        ValueError, match=r'MaskDecodeHead was built for maps of .* got \[32,'
    ):
        head([x[:, :32] for x in maps])


@pytest.mark.parametrize(
    ('more', 'words'),
    [
        (dict(), 'needs num_classes or a vocabulary'),
        (dict(text=TEXT, num_classes=3), 'so it needs a vocabulary'),
        (dict(vocabulary=NAMES, num_classes=4), 'is 4, but its vocabulary has 3'),
        (dict(num_classes=3, spatial_index=4), 'spatial_index of MaskDecodeHead is 4'),
    ],
)
def test_mistakes_of_a_decode_head_are_named(more, words):
    config = dict(PARTS, type='MaskDecodeHead', in_channels=CHANNELS, **more)
    with pytest.raises(ValueError, match=words):
        MODELS.build(config)


def test_fusion_head_refuses_other_classes_and_semantic_results():
    config = dict(type='MaskFusionHead', num_things_classes=1, num_stuff_classes=2)
    with pytest.raises(ValueError, match='2 of them things'):
        MODELS.build(dict(config, vocabulary=NAMES))
    with pytest.raises(ValueError, match='semantic_on=False'):
        MODELS.build(dict(config, test_cfg=dict(semantic_on=True)))


def test_fusion_head_without_rescale_gives_the_size_of_the_image(seed):
    fusion = MODELS.build(
        dict(type='MaskFusionHead', num_things_classes=1, num_stuff_classes=1)
    )
    prediction = MaskPrediction(torch.randn(1, 4, 3), torch.randn(1, 4, 64, 96))
    data = BaseDataElement(metainfo=dict(img_shape=(50, 80), ori_shape=(100, 160)))
    for rescale, size in ((False, (50, 80)), (True, (100, 160))):
        [found] = fusion.predict(*prediction[:2], [data], rescale)
        assert found['pan_results'].sem_seg.shape == (1, *size)
        assert found['ins_results'].masks.shape[-2:] == size
    assert 'pred_panoptic_seg' not in data
