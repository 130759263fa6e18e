import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmovseg.models.ensembles import build_ensemble
from mmovseg.models.ops import resize_masks
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

CLASSES = ['grass', 'thing: dog; puppy', 'thing: kite', 'stuff: sky']

ENSEMBLE = dict(alpha=0.4, beta=0.8, valid_only=True)


def make(root, backbone='tiny-convnext', **changes):
    config = Config.fromfile(root / 'configs/_base_/models/eovseg_tiny.py').model
    for part in (config.backbone, config.text_classifier):
        part.update(model_name=backbone, pretrained=None)
    config.ensemble = ENSEMBLE
    config.train_vocabulary = CLASSES
    config.update(changes)
    torch.manual_seed(0)
    return MODELS.build(config)


@pytest.fixture
def root(pytestconfig):
    return pytestconfig.rootpath


def sample(labels, masks, stuff=None, size=(64, 96)):
    data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    data.gt_instances = InstanceData(
        labels=torch.tensor(labels, dtype=torch.long), masks=masks
    )
    label_map = torch.full((1, *size), 255) if stuff is None else stuff
    data.gt_sem_seg = PixelData(sem_seg=label_map)
    return data


def full_sample(size=(64, 96)):
    masks = torch.zeros(2, *size, dtype=torch.bool)
    masks[0, 5:30, 10:40] = masks[1, 35:60, 50:90] = True
    stuff = torch.zeros(1, *size, dtype=torch.long)
    stuff[:, 32:] = 3
    return sample([1, 2], masks, stuff, size)


def empty_sample(size=(64, 96)):
    return sample([], torch.zeros(0, *size, dtype=torch.bool), size=size)


def images(count, size=(64, 96)):
    generator = torch.Generator().manual_seed(1)
    return list(torch.randint(0, 256, (count, 3, *size), generator=generator).byte())


def losses_of(model, inputs, samples):
    return model.forward(
        **model.data_preprocessor(dict(inputs=inputs, data_samples=samples)),
        mode='loss',
    )


@pytest.mark.slow
@pytest.mark.parametrize('backbone', ['tiny-convnext', 'tiny-rn'])
def test_every_trainable_parameter_learns_and_no_frozen_one_does(root, backbone):
    model = make(root, backbone).train()
    before = {k: v.clone() for k, v in model.named_parameters()}
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-3)
    for step in range(20):
        losses = losses_of(model, images(2), [full_sample(), full_sample()])
        optimizer.zero_grad()
        sum(losses.values()).backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    assert parameter.grad.isfinite().all(), name
                    assert (parameter.grad != 0).any(), name
        optimizer.step()
    frozen = ('backbone.', 'spatial_backbone.', 'text_classifier.clip.')
    for name, parameter in model.named_parameters():
        is_frozen = name.startswith(frozen) or name == 'text_classifier.logit_scale'
        assert parameter.requires_grad != is_frozen, name
        assert torch.equal(parameter, before[name]) == is_frozen, name


@pytest.mark.parametrize(
    'samples',
    [
        [full_sample(), empty_sample()],
        [empty_sample(), empty_sample()],
    ],
    ids=['mixed', 'no segment at all'],
)
def test_images_without_segments_train(root, samples):
    model = make(root).train()
    losses = losses_of(model, images(2), samples)
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize('backbone', ['tiny-convnext', 'tiny-rn'])
def test_training_in_bfloat16_has_nearly_the_same_losses(root, backbone):
    model = make(root, backbone).train()
    totals = []
    for enabled in (False, True):
        torch.manual_seed(0)  # the same points
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            losses = losses_of(model, images(2), [full_sample(), full_sample()])
        assert {loss.dtype for loss in losses.values()} == {torch.float32}
        totals.append(sum(losses.values()))
    assert totals[1].item() != totals[0].item()
    torch.testing.assert_close(totals[1], totals[0], rtol=0.05, atol=0)
    totals[1].backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.dtype == torch.float32, name
            assert parameter.grad.isfinite().all(), name
            assert (parameter.grad != 0).any(), name


def test_losses_of_every_stage_are_named(root):
    losses = losses_of(make(root).train(), images(1), [full_sample()])
    names = {f's{i}_loss_{part}' for i in (0, 1) for part in ('ce', 'mask', 'dice')}
    assert set(losses) == names


@torch.no_grad()
@pytest.mark.parametrize(
    ('backbone', 'kind'),
    [
        ('tiny-convnext', {}),
        ('tiny-rn', {}),
        ('tiny-convnext', dict(type='ArithmeticEnsemble')),
    ],
)
def test_inference_mixes_the_last_stage_with_frozen_clip(root, backbone, kind):
    changes = dict(ensemble=dict(ENSEMBLE, **kind))
    vocabulary = [*CLASSES, 'thing: zebra']
    model = make(root, backbone, test_vocabulary=vocabulary, **changes).eval()
    inputs = torch.randn(2, 3, 64, 96)
    text = model.text_classifier(model.vocabulary)
    features = model.backbone(inputs)
    last = model.decoder(
        model.neck(features, text), model.spatial_backbone(inputs), text
    )[-1]
    masks = resize_masks(last.mask_logits, features[-1].shape[-2:])
    scale = min(model.text_classifier.logit_scale.exp().item(), 100)
    clip = text.logits(model.backbone.pool_masks(features[-1], masks), scale)
    assert model.seen.tolist() == [True] * 4 + [False]
    valid = (masks > 0).flatten(2).any(-1)
    ensemble = build_ensemble(changes['ensemble'], 'GeometricEnsemble')
    expected = ensemble(last.class_logits, clip[..., :-1], model.seen, valid)
    got = model(inputs)
    torch.testing.assert_close(got.class_logits, expected)
    torch.testing.assert_close(got.mask_logits, last.mask_logits)
    torch.testing.assert_close(
        got.class_logits.exp().sum(-1), torch.ones(2, 20), rtol=1e-4, atol=1e-4
    )


@torch.no_grad()
def test_a_batch_equals_its_images(root):
    model = make(root).eval()
    photos = images(3)
    together = model.test_step(dict(inputs=photos, data_samples=None))
    for index, photo in enumerate(photos):
        alone = model.test_step(dict(inputs=[photo], data_samples=None))[0]
        for name in ('pred_panoptic_seg', 'pred_sem_seg'):
            same = together[index].get(name).sem_seg == alone.get(name).sem_seg
            assert same.float().mean() > 0.999
        torch.testing.assert_close(
            together[index].pred_instances.scores,
            alone.pred_instances.scores,
            rtol=1e-3,
            atol=1e-4,
        )


@torch.no_grad()
def test_a_batch_of_different_sizes_equals_its_images(root):
    model = make(root).eval()
    sizes = [(70, 100), (120, 64), (96, 128)]
    photos = [images(1, size)[0] for size in sizes]
    samples = [
        BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size)) for size in sizes
    ]
    together = model.test_step(dict(inputs=photos, data_samples=samples))
    for index, size in enumerate(sizes):
        data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
        batch = dict(inputs=[photos[index]], data_samples=[data])
        alone = model.test_step(batch)[0]
        assert torch.equal(
            together[index].pred_panoptic_seg.sem_seg, alone.pred_panoptic_seg.sem_seg
        )


@torch.no_grad()
def test_the_vocabulary_changes_between_two_images_without_rebuilding(root):
    model = make(root).eval()
    photo = dict(inputs=images(1), data_samples=None)
    keys = list(model.state_dict())
    first = model.test_step(photo)[0]
    model.set_vocabulary(['thing: cat', 'wall'])
    second = model.test_step(photo)[0]
    assert second.pred_panoptic_seg.metainfo['label_names'] == ['cat', 'wall']
    assert second.pred_sem_seg.sem_seg.max() <= 1
    assert model.seen.tolist() == [False, False]
    model.set_vocabulary(CLASSES)
    again = model.test_step(photo)[0]
    assert torch.equal(again.pred_panoptic_seg.sem_seg, first.pred_panoptic_seg.sem_seg)
    assert list(model.state_dict()) == keys


@torch.no_grad()
@pytest.mark.parametrize('count', [1203, pytest.param(5000, marks=pytest.mark.slow)])
def test_large_vocabularies(root, count):
    model = make(root).eval()
    if count == 1203:
        model.set_vocabulary('lvis_1203')
    else:
        things = [f'thing: name {i}' for i in range(count)]
        model.set_vocabulary(Vocabulary.from_names(things))
    result = model.test_step(dict(inputs=images(1), data_samples=None))[0]
    coded = result.pred_panoptic_seg
    divisor = coded.metainfo['label_divisor']
    assert divisor > count
    labels = np.unique(coded.sem_seg % divisor)
    assert labels.max() <= count
    assert result.pred_sem_seg.sem_seg.max() < count


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('backbone', ['tiny-convnext', 'tiny-rn'])
def test_half_precision_is_finite(root, dtype, backbone):
    model = make(root, backbone).eval().to(dtype)
    raw = model(torch.randn(1, 3, 64, 96).to(dtype))
    assert raw.class_logits.isfinite().all()
    assert raw.mask_logits.isfinite().all()


def test_init_weights_leaves_clip_alone(root):
    model = make(root)
    frozen = {k: p.clone() for k, p in model.named_parameters() if not p.requires_grad}
    model.init_weights()
    parameters = dict(model.named_parameters())
    assert all(torch.equal(p, parameters[k]) for k, p in frozen.items())


@torch.no_grad()
def test_text_is_encoded_once_per_vocabulary(root, monkeypatch):
    model = make(root).eval()
    model.test_step(dict(inputs=images(1), data_samples=None))
    calls = []
    monkeypatch.setattr(
        model.text_classifier.tower, 'encode', lambda *_: calls.append(1)
    )
    model.test_step(dict(inputs=images(2), data_samples=None))
    assert not calls


@torch.no_grad()
def test_the_text_tower_can_go_when_the_vocabulary_is_chosen(root):
    model = make(root).eval()
    model.text_classifier.cache_dir = None
    photo = dict(inputs=images(1), data_samples=None)
    model.set_vocabulary(['thing: cat', 'wall'])
    expected = model.test_step(photo)[0].pred_sem_seg.sem_seg
    model = make(root).eval()
    model.text_classifier.cache_dir = None
    model.set_vocabulary(['thing: cat', 'wall'])  # no image yet
    model.drop_text_tower()
    model.drop_text_tower()
    assert not any('transformer' in name for name in model.text_classifier.state_dict())
    assert torch.equal(model.test_step(photo)[0].pred_sem_seg.sem_seg, expected)
    model.set_vocabulary(['thing: bird'])
    with pytest.raises(RuntimeError, match='the text tower was dropped'):
        model.test_step(photo)


@torch.no_grad()
@pytest.mark.parametrize('size', [(7, 9), (1, 40), (33, 31)])
def test_sizes_below_and_beside_the_stride(root, size):
    data = BaseDataElement(metainfo=dict(img_shape=size, ori_shape=size))
    batch = dict(inputs=images(1, size), data_samples=[data])
    result = make(root).eval().test_step(batch)[0]
    assert result.pred_panoptic_seg.sem_seg.shape == (1, *size)
    assert result.pred_instances.masks.shape[1:] == size


def test_a_text_space_of_another_width_is_refused(root):
    config = Config.fromfile(root / 'configs/_base_/models/eovseg_tiny.py').model
    config.train_vocabulary = CLASSES
    config.text_classifier.update(model_name='RN50', pretrained=None)
    with pytest.raises(ValueError, match=r'64.*1024'):
        MODELS.build(config)


def test_an_unknown_mode_is_named(root):
    with pytest.raises(ValueError, match="'train'"):
        make(root)(torch.zeros(1, 3, 64, 64), mode='train')


@torch.no_grad()
def test_without_ensemble_the_trained_scores_count(root):
    model = make(root, ensemble=None).eval()
    mixed = make(root).eval()
    inputs = torch.randn(1, 3, 64, 96)
    text = model.text_classifier(model.vocabulary)
    features = model.neck(model.backbone(inputs), text)
    last = model.decoder(features, model.spatial_backbone(inputs), text)[-1]
    got = model(inputs).class_logits
    torch.testing.assert_close(got, last.class_logits)
    assert not torch.allclose(got.softmax(-1), mixed(inputs).class_logits.softmax(-1))


@pytest.mark.parametrize(
    ('ensemble', 'error', 'message'),
    [
        (dict(alfa=0.1, beta=0.2), TypeError, "Ensemble.*'alfa'"),
        (dict(alpha=0.1, beta=1.2), ValueError, 'beta.*1.2'),
        (dict(alpha=0.1, beta=0.2, kind='x'), ValueError, "'ArithmeticEnsemble'"),
    ],
)
def test_a_wrong_ensemble_is_refused(root, ensemble, error, message):
    with pytest.raises(error, match=message):
        make(root, ensemble=ensemble)
