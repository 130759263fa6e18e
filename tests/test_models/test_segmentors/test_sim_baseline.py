import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.structures import BaseDataElement
from torch import nn

from mmovseg.models.segmentors.sim_baseline import crop_masks, mask_boxes
from mmovseg.models.structures import MaskProposals
from mmovseg.registry import MODELS

CONFIG = 'configs/_base_/models/simbaseline_tiny.py'
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
CLIP_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1) * 255
CLIP_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1) * 255


class GivenProposals(nn.Module):
    """Smooth masks at stride 4, the second one empty, whatever the image shows."""

    embed_channels = 64

    def forward(self, images):
        height, width = (x // 4 for x in images.shape[-2:])
        generator = torch.Generator().manual_seed(3)
        masks = torch.randn(1, 4, 4, 4, generator=generator) * 4
        masks = F.interpolate(masks, (height, width), mode='bicubic')
        masks[:, 1] = -masks[:, 1].abs() - 0.1
        regions = torch.randn(1, 4, 64, generator=generator)
        count = len(images)
        count = len(images)
        masks, regions = masks.repeat(count, 1, 1, 1), regions.repeat(count, 1, 1)
        return [MaskProposals(masks, regions)]


@pytest.fixture
def build(pytestconfig, seed):
    def build(**changes):
        config = Config.fromfile(pytestconfig.rootpath / CONFIG).model
        for key, value in changes.items():
            config[key] = value  # update() would merge
        config.train_vocabulary = ['red', 'green', 'blue; azure']
        config.test_vocabulary = ['purple', 'blue', 'green', 'brown']
        config.text_classifier.cache_dir = None
        model = MODELS.build(config).eval()
        assert model.seen.tolist() == [False, True, True, False]
        model.proposals = GivenProposals()
        return model

    return build


@pytest.fixture
def photo(seed):
    """Return an image of 56 x 80 pixels, which is padded to 64 x 96."""
    return torch.randint(0, 256, (3, 56, 80), dtype=torch.uint8)


def predict(model, photos):
    samples = []
    for photo in photos:
        size = tuple(photo.shape[1:])
        samples.append(BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size)))
    batch = model.data_preprocessor(dict(inputs=photos, data_samples=samples))
    return model(**batch, mode='predict')


def literal_scores(model, photo, ensemble):
    """Scores ``[N, K]`` of an image, one proposal at a time, with probabilities."""
    (proposals,) = model.proposals(torch.zeros(1, 3, 64, 96))
    text = model.text_classifier(model.vocabulary)
    up = F.interpolate(proposals.mask_logits, (64, 96), mode='bilinear')
    masks = up[0, :, :56, :80].sigmoid()
    region_embeds = F.normalize(proposals.region_embeds[0], dim=-1)
    own = (100 * region_embeds @ text.weight.T).softmax(-1)
    photo = photo.flip(0).float()  # RGB
    scores = torch.zeros(4, 4)
    for n, mask in enumerate(masks):
        inside = mask > 0.5
        valid = bool(inside.any())
        crop_score = torch.ones(4)
        if valid:
            rows, columns = inside.nonzero().T
            place = (
                ...,
                slice(int(rows.min()), int(rows.max()) + 1),
                slice(int(columns.min()), int(columns.max()) + 1),
            )
            crop, part = photo[place], inside[place].float()
            crop = crop * part + CLIP_MEAN * (1 - part)
            crop = ((crop - CLIP_MEAN) / CLIP_STD)[None]
            crop = F.interpolate(crop, (64, 64), mode='bicubic', align_corners=False)
            feature = F.normalize(model.backbone.visual(crop), dim=-1)
            crop_score = (100 * feature @ text.weight.T)[0, :-1].softmax(-1)
        for k in range(4):
            if ensemble is None:
                scores[n, k] = crop_score[k] * valid
                continue
            seen = model.seen[k] and ensemble.get('use_seen', True)
            weight = ensemble['weight'] if seen else 1 - ensemble['weight']
            scores[n, k] = own[n, k] ** weight * crop_score[k] ** (1 - weight)
            if ensemble.get('valid_only'):
                scores[n, k] *= valid
    return scores, masks


@torch.no_grad()
@pytest.mark.parametrize(
    'ensemble',
    [
        dict(weight=0.8),
        dict(weight=0.3, use_seen=False),
        dict(weight=0.8, valid_only=True),
        None,
    ],
    ids=str,
)
def test_scores_are_those_of_a_loop_up_to_one_divisor(
    build, photo, ensemble, monkeypatch
):
    model = build(ensemble=ensemble)
    expected, masks = literal_scores(model, photo, ensemble)
    seen = []
    fusion = model.fusion.forward
    monkeypatch.setattr(
        model.fusion, 'forward', lambda *x: seen.append(x) or fusion(*x)
    )
    result = predict(model, [photo])[0]
    probs = seen[0][0].class_logits[0].softmax(-1)
    divisor = max(1, expected.sum(1).max())
    torch.testing.assert_close(probs[:, :-1], expected / divisor, rtol=1e-3, atol=1e-6)
    label_map = torch.einsum('nk,nhw->khw', expected, masks).argmax(0)
    agreement = result.pred_sem_seg.sem_seg[0] == label_map
    assert agreement.float().mean() > 0.999


@torch.no_grad()
@pytest.mark.parametrize('crop_batch_size', [1, 2])
def test_neither_batch_nor_chunks_change_a_result(build, photo, crop_batch_size):
    photos = [photo, photo[:, :40, :70]]
    model = build()
    alone = [predict(model, [photo])[0] for photo in photos]
    model.crop_batch_size = crop_batch_size
    together = predict(model, photos)
    for one, other in zip(alone, together, strict=True):
        assert torch.equal(one.pred_sem_seg.sem_seg, other.pred_sem_seg.sem_seg)


@torch.no_grad()
def test_crops_end_where_the_padding_starts(build, photo, monkeypatch):
    model = build()
    seen = []
    embed = model._embed_crops
    monkeypatch.setattr(model, '_embed_crops', lambda *x: seen.append(x) or embed(*x))
    predict(model, [photo])
    image, masks, valid = seen[0]
    assert image.shape == (3, 56, 80)
    assert masks.shape == (4, 56, 80)
    assert valid.tolist() == [True, False, True, True]
    expected = (photo.flip(0) - CLIP_MEAN) / CLIP_STD
    torch.testing.assert_close(image, expected, rtol=1e-5, atol=1e-5)


def test_boxes_are_tight_and_crops_black_outside_the_mask():
    masks = torch.zeros(2, 5, 6, dtype=torch.bool)
    masks[0, 1:3, 2:6] = True
    masks[0, 1, 2] = False
    masks[1, 4, 0] = True
    boxes = mask_boxes(masks)
    assert boxes.tolist() == [[2, 1, 6, 3], [0, 4, 1, 5]]
    image = torch.arange(90.0).view(3, 5, 6) + 1
    crops = crop_masks(image, masks, boxes.tolist(), 4)
    assert crops.shape == (2, 3, 4, 4)
    part = torch.tensor([[0.0, 10, 11, 12], [15, 16, 17, 18]])[None, None]
    expected = F.interpolate(part, (4, 4), mode='bicubic', align_corners=False)
    torch.testing.assert_close(crops[0, 0], expected[0, 0])
    torch.testing.assert_close(crops[1, 2], torch.full((4, 4), 85.0))


@torch.no_grad()
def test_no_proposal_has_a_pixel(build, photo, monkeypatch):
    model = build(ensemble=None)
    empty = MaskProposals(torch.full((1, 3, 16, 24), -1.0), torch.ones(1, 3, 64))
    monkeypatch.setattr(model.proposals, 'forward', lambda images: [empty])
    assert (
        model(torch.zeros(1, 3, 64, 96)).class_logits.softmax(-1)[0].tolist()
        == [[0, 0, 0, 0, 1]] * 3
    )
    assert (predict(model, [photo])[0].pred_sem_seg.sem_seg == 0).all()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(ensemble=dict(weight=0)), r'in \(0, 1\], got 0; ensemble=None'),
        (dict(crop_batch_size=0), 'at least 1, got 0'),
        (
            dict(backbone=dict(type='DenseCLIPViT', model_name='ViT-S-32-alt')),
            'one CLIP',
        ),
    ],
)
def test_mistakes_are_explained(build, changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize('ensemble', [dict(alpha=0.4), {}])
def test_arguments_of_an_ensemble_are_named(build, ensemble):
    with pytest.raises(TypeError, match=r"CropEnsemble.*('alpha'|'weight')"):
        build(ensemble=ensemble)


def test_an_ensemble_needs_the_class_branch(build, pytestconfig):
    proposals = Config.fromfile(pytestconfig.rootpath / CONFIG).model.proposals
    proposals.embed_channels = None
    criterion = dict(type='ProposalLoss')
    build(proposals=proposals, criterion=criterion, ensemble=None)
    with pytest.raises(
        ValueError, match=r'proposals\.embed_channels, or ensemble=None'
    ):
        build(proposals=proposals, criterion=criterion)
