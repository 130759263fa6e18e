"""EOV-Seg and DeOP take parts of others, with the same numbers as their own parts."""

import pytest
import torch
from torch import nn

from mmovseg.models.layers import measure_maps, measure_one_map
from mmovseg.models.structures import MaskProposals
from mmovseg.registry import MODELS

TEXT = dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}'])
NECK = dict(type='VASNeck', hidden_channels=8, out_channels=16)
HEAD = dict(type='MaskEmbedHead')
DECODER = dict(type='LiteDecoder', channels=16, num_stages=1, num_queries=5, head=HEAD)
OWN = dict(type='CLIPConvBackbone', model_name='tiny-rn')


class Wrapped(nn.Module):
    """A part of ours as one of another package: it tells nothing about itself."""

    def __init__(self, part, pick=None, **known):
        super().__init__()
        self.part, self.pick = MODELS.build(dict(part, **known)), pick

    def forward(self, x):
        maps = self.part(x)
        return maps if self.pick is None else tuple(maps[i] for i in self.pick)


class PyramidNeck(nn.Module):
    """A neck that knows nothing of names and gives several maps."""

    def __init__(self, in_channels, out_channels, order=1):
        super().__init__()
        assert isinstance(in_channels, list)  # as mmdet's FPN does
        self.convs = nn.ModuleList(nn.Conv2d(c, out_channels, 1) for c in in_channels)
        self.order = order

    def forward(self, inputs):
        maps = [conv(x) for conv, x in zip(self.convs, inputs, strict=True)]
        return tuple(maps[:: self.order])


@pytest.fixture(autouse=True)
def foreign(monkeypatch):
    for kind in (Wrapped, PyramidNeck, Halves):
        monkeypatch.setitem(MODELS.module_dict, kind.__name__, kind)


def eovseg(**parts):
    torch.manual_seed(0)
    config = dict(
        type='EOVSeg',
        backbone=OWN,
        spatial_backbone=None,
        text_classifier=TEXT,
        neck=NECK,
        decoder=DECODER,
        criterion=dict(type='MaskSetLoss', num_points=16),
        fusion=dict(type='MaskFusion'),
        train_vocabulary=['dog', 'sky'],
    )
    return MODELS.build(dict(config, **parts)).eval()


@torch.no_grad()
def test_a_foreign_backbone_gives_the_numbers_of_ours():
    images = torch.randn(1, 3, 64, 64)
    expected = eovseg()(images)
    found = eovseg(backbone=dict(type='Wrapped', part=OWN))(images)
    assert torch.equal(found.class_logits, expected.class_logits)
    assert torch.equal(found.mask_logits, expected.mask_logits)


def test_an_ensemble_needs_a_clip():
    with pytest.raises(ValueError, match=r'Wrapped is none .*: set ensemble=None'):
        eovseg(
            backbone=dict(type='Wrapped', part=OWN), ensemble=dict(alpha=0.4, beta=0.8)
        )


@torch.no_grad()
def test_the_spatial_branch_is_measured():
    decoder = dict(DECODER, head=dict(type='TDEEHead'))
    spatial = dict(type='Wrapped', part=OWN, pick=[2])
    model = eovseg(spatial_backbone=spatial, decoder=decoder)
    assert measure_one_map(model.spatial_backbone) == (256, 16)
    images = torch.randn(1, 3, 64, 64)
    features = model.backbone(images)
    text = model.encode_vocabulary(model.vocabulary)
    [spatial_map] = model.spatial_backbone(images)
    expected = model.decoder(model.neck(features, text), spatial_map, text)[-1]
    torch.testing.assert_close(model(images).class_logits, expected.class_logits)
    with pytest.raises(ValueError, match=r'gives 2 maps where one is needed'):
        eovseg(spatial_backbone=dict(spatial, pick=[2, 3]), decoder=decoder)


@torch.no_grad()
def test_a_neck_of_several_maps_gives_its_finest():
    model = eovseg(neck=dict(type='PyramidNeck', out_channels=16))
    images = torch.randn(1, 3, 64, 64)
    features = model.backbone(images)
    text = model.encode_vocabulary(model.vocabulary)
    [expected] = model.decoder(model.neck.convs[0](features[0]), None, text)
    assert torch.equal(model(images).mask_logits, expected.mask_logits)
    losses = eovseg(neck=dict(type='PyramidNeck', out_channels=16)).train()
    assert losses.neck.training


@pytest.mark.parametrize(
    ('neck', 'words'),
    [
        (
            dict(out_channels=16, order=-1),
            r'first map of the neck PyramidNeck is \(2, 2',
        ),
        (dict(out_channels=8), 'PyramidNeck gives 8 channels, the decoder LiteDecoder'),
        (dict(out_channels=16, in_channels=[64, 128]), 'PyramidNeck does not take the'),
    ],
)
def test_necks_that_do_not_fit_are_named(neck, words):
    with pytest.raises(ValueError, match=words):
        eovseg(neck=dict(type='PyramidNeck', **neck))


def test_backbones_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r'maps of strides \[8, 16\], not'):
        eovseg(backbone=dict(type='Wrapped', part=OWN, pick=[1, 2]))
    with pytest.raises(ValueError, match='Flatten gives no maps'):
        measure_maps(nn.Flatten())


class Halves(nn.Module):
    """Masks from anywhere: the left and the right half of an image."""

    embed_channels = None

    def __init__(self):
        super().__init__()
        self.register_buffer('logits', torch.ones(1, 2, 16, 16))
        self.logits[0, 0, :, 8:] = self.logits[0, 1, :, :8] = -1

    def forward(self, images):
        return [MaskProposals(5 * self.logits.expand(len(images), -1, -1, -1))]


def deop(**parts):
    torch.manual_seed(0)
    config = dict(
        type='DeOP',
        proposals=dict(type='Halves'),
        backbone=dict(type='Wrapped', part=OWN, pick=[3]),
        head=dict(type='MaskPoolHead'),
        text_classifier=TEXT,
        criterion=dict(type='SemanticMapLoss'),
        fusion=dict(type='MaskFusion', panoptic=False, instance=False),
        train_vocabulary=['dog', 'sky'],
    )
    return MODELS.build(dict(config, **parts)).eval()


@torch.no_grad()
def test_deop_takes_any_masks_and_any_dense_backbone():
    model = deop()
    images = torch.randn(1, 3, 64, 64)
    [features] = model.backbone(images)
    assert features.shape[1] == 512 and model.projection.out_channels == 64
    masks = model.proposals(images)[-1].mask_logits
    regions, _ = model.head(model.projection(features), masks)
    text = model.encode_vocabulary(model.vocabulary)
    expected = text.logits(regions, 100.0)
    torch.testing.assert_close(model(images).class_logits, expected)


@torch.no_grad()
def test_deop_hides_nothing_from_its_own_backbone():
    own = dict(type='DenseCLIPViT', model_name='tiny-vit')
    text = dict(TEXT, model_name='tiny-vit')
    model = deop(backbone=own, text_classifier=text)
    assert model.projection is None
    assert not any(name.startswith('projection') for name in model.state_dict())
    plain = deop(
        backbone=dict(type='Wrapped', part=own), text_classifier=text
    )  # of the same width: no projection
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(model(images).class_logits, plain(images).class_logits)


def test_losses_and_arguments_of_others_are_refused():
    with pytest.raises(ValueError, match=r"criterion=dict\(type='mmovseg.MaskSetLoss'"):
        eovseg(criterion=dict(type=nn.CrossEntropyLoss))
    with pytest.raises(ValueError, match='train_cfg means nothing to EOVSeg'):
        eovseg(train_cfg=dict(a=1))
    with pytest.raises(TypeError, match="EOVSeg has no argument 'decoder_head'"):
        eovseg(decoder_head=None)
    eovseg(train_cfg=None, pretrained=None, decode_head=dict(type='none'))
    with pytest.raises(TypeError, match='cannot be loss_decode of an mmseg head'):
        _ = MODELS.build(dict(type='MaskSetLoss')).loss_name
