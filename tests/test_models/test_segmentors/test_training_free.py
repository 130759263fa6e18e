"""Masks of one network, names of CLIP, votes of the classes that the network knows."""

import sys
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmovseg.apis import load_config
from mmovseg.models import TrainingFreeSegmentor
from mmovseg.models.structures import MaskProposals
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

KNOWN = ['cat', 'dog', 'sky']
PROBS = torch.tensor([[0.7, 0.2, 0.0], [0.0, 0.0, 0.1], [0.3, 0.3, 0.3]])


@MODELS.register_module(force=True)
class GivenProposals(BaseModule):
    """Three masks: the left half, one pixel, and nothing; known probabilities."""

    embed_channels = None

    def __init__(self, class_names=None, *, silent=False):
        super().__init__()
        self.class_names = None if silent else Vocabulary.load(class_names)
        self.silent = silent
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images):
        batch, _, height, width = images.shape
        masks = -torch.ones(batch, 3, height // 4, width // 4)
        masks[:, 0, :, : width // 8] = 1
        masks[:, 1, 2, 5] = 1
        probs = None if self.silent else PROBS.expand(batch, -1, -1)
        return [MaskProposals(masks, class_probs=probs)]


def make(clip='convnext', *, silent=False, ensemble=(0.4, 0.8), **changes):
    model = f'tiny-{clip}'
    backbone = dict(type='CLIPConvBackbone', model_name=model)
    if clip == 'vit':
        severance = [dict(block=-1, mode='generalized', alpha=1.0)]
        backbone = dict(type='DenseCLIPViT', model_name=model, severance=severance)
    if ensemble is not None:
        ensemble = dict(alpha=ensemble[0], beta=ensemble[1])
    config = dict(
        proposals=dict(type='GivenProposals', silent=silent),
        backbone=backbone,
        text_classifier=dict(type='TextClassifier', model_name=model, templates=['{}']),
        ensemble=ensemble,
        fusion=dict(type='MaskFusion', iou_thr=0.0),
        train_vocabulary=KNOWN,
        test_vocabulary=['thing: cat', 'thing: kite', 'sky'],
        **changes,
    )
    torch.manual_seed(0)
    return TrainingFreeSegmentor(**config).eval()


def text_rows(model, names):
    return model.text_classifier.encode(Vocabulary.load(names))


@torch.no_grad()
def expected_clip(model, images, masks):
    """Embed the first mask by hand and compare it with the three names."""
    if hasattr(model.backbone, 'pool_masks'):
        features = model.backbone(images)[-1]
        small = F.interpolate(masks, features.shape[-2:], mode='bilinear')
        embed = model.backbone.pool_masks(features, small[:, :1])[0, 0]
    else:
        features = model.backbone(images, masks)
        small = F.interpolate(masks, features.shape[-2:], mode='bilinear')
        embed = features[0][:, small[0, 0] > 0].mean(-1)
    rows = text_rows(model, ['thing: cat', 'thing: kite', 'sky'])
    scale = model.text_classifier.logit_scale.exp()
    return (scale * F.normalize(embed, dim=-1) @ rows.T).softmax(-1)


@pytest.mark.parametrize('clip', ['convnext', 'rn', 'vit'])
def test_clip_alone_names_masks(clip):
    model = make(clip, silent=True, ensemble=None)
    images = torch.randn(1, 3, 64, 64)
    found = model.segment(images, model.encode_vocabulary(model.vocabulary))[-1]
    expected = expected_clip(model, images, found.mask_logits)
    torch.testing.assert_close(found.class_logits[0, 0, :-1].exp(), expected)
    assert (found.class_logits[..., -1] < -10).all()  # nobody says that it is void


def test_known_classes_vote_by_their_embeddings():
    """ConSE: probabilities times rows of names, in the share of the ensemble."""
    model = make(ensemble=(0.0, 0.0))  # nothing but the votes
    text = model.encode_vocabulary(model.vocabulary)
    found = model.segment(torch.randn(2, 3, 64, 64), text)[-1].class_logits.exp()
    rows, known = (
        text_rows(model, ['thing: cat', 'thing: kite', 'sky']),
        text_rows(model, KNOWN),
    )
    voted = F.normalize(PROBS @ known, dim=-1)
    scale = model.text_classifier.logit_scale.exp()
    shares = (scale * voted @ rows.T).softmax(-1)
    objects = PROBS.sum(-1, keepdim=True)
    torch.testing.assert_close(found[1, :, :-1], shares * objects, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found[1, :, -1:], 1 - objects, atol=1e-5, rtol=1e-4)


def test_both_shares_are_mixed_by_what_is_known():
    images = torch.randn(1, 3, 64, 64)
    parts = {}
    for weights in ((0.0, 0.0), (1.0, 1.0), (0.4, 0.8)):
        model = make(ensemble=weights)
        text = model.encode_vocabulary(model.vocabulary)
        assert text.seen.tolist() == [True, False, True]
        logits = model.segment(images, text)[-1].class_logits[0, 0]
        parts[weights] = logits[:-1].log_softmax(-1)
    weight = torch.tensor([0.4, 0.8, 0.4])
    mixed = (1 - weight) * parts[0.0, 0.0] + weight * parts[1.0, 1.0]
    torch.testing.assert_close(
        parts[0.4, 0.8], mixed.log_softmax(-1), atol=1e-4, rtol=1e-3
    )


def test_only_the_most_probable_known_classes_count():
    model = make(ensemble=(0.0, 0.0), num_known=1)
    rows = text_rows(model, KNOWN)
    found = model._combine_known(PROBS[:2], rows)
    torch.testing.assert_close(found, torch.stack([0.7 * rows[0], 0.1 * rows[2]]))


@pytest.mark.parametrize('clip', ['convnext', 'rn', 'vit'])
def test_masks_smaller_than_a_position_are_named(clip):
    model = make(clip, silent=True, ensemble=None)
    images = torch.randn(1, 3, 64, 64)
    text = model.encode_vocabulary(model.vocabulary)
    found = model.segment(images, text)[-1].class_logits
    assert found.isfinite().all()
    flat = torch.full((3,), 1 / 3)
    assert not torch.allclose(found[0, 1, :-1].exp(), flat, atol=1e-3)


@pytest.mark.parametrize('clip', ['convnext', 'rn', 'vit'])
def test_examples_that_clip_cannot_see_move_nothing(clip):
    model = make(clip, data_preprocessor=dict(type='ImgDataPreprocessor'))
    names = Vocabulary.load(['thing: cat', 'thing: kite', 'sky'])
    image, half = np.zeros((96, 64, 3), np.uint8), np.zeros((96, 64), bool)
    half[:48] = True
    speck = np.zeros((96, 64), bool)
    speck[33:35, 33:35] = True
    plain = model.encode_vocabulary(names).weight
    for mask, told in ((speck, 'too small'), (half | True, 'fills the image')):
        with pytest.warns(UserWarning, match=f"Example 1 of 'kite'.*{told}"):
            text = model.encode_vocabulary(names.add_examples('kite', [(image, mask)]))
        assert torch.equal(text.clip, plain)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        model.encode_vocabulary(names.add_examples('kite', [(image, half)]))


def test_results_of_all_tasks_come_from_one_forward_and_batches_are_images():
    model = make(
        data_preprocessor=dict(type='ImgDataPreprocessor', pad_size_divisor=32)
    )
    images = [torch.randint(0, 256, (3, 64, 64)).byte() for _ in range(2)]
    both = model.test_step(dict(inputs=images))
    for image, found in zip(images, both, strict=True):
        (alone,) = model.test_step(dict(inputs=[image]))
        for field in ('pred_panoptic_seg', 'pred_sem_seg'):
            assert torch.equal(alone.get(field).sem_seg, found.get(field).sem_seg)
        torch.testing.assert_close(
            alone.pred_instances.scores, found.pred_instances.scores
        )
    assert len(found.pred_instances)


def test_vocabularies_change_and_the_text_tower_can_go():
    model = make()
    model.set_vocabulary(['one name'])
    model.drop_text_tower()
    text = model.encode_vocabulary(model.vocabulary)
    found = model.segment(torch.randn(1, 3, 64, 64), text)[-1].class_logits
    assert found.shape == (1, 3, 2) and found.isfinite().all()
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(1, 3))


def test_nothing_is_trained():
    model = make().train()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(NotImplementedError, match='nothing to train'):
        model(torch.zeros(1, 3, 64, 64), [], mode='loss')


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r'knows no classes.*ensemble=None'):
        make(silent=True)
    with pytest.raises(ValueError, match='num_known must be at least 1, got 0'):
        make(num_known=0)


def test_a_missing_package_is_named_before_clip_is_fetched(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(ImportError, match=r"pip install 'mmovseg\[transformers\]'"):
        MODELS.build(load_config('eomt-s_convnext-l').model)


def test_a_folder_of_transformers_segments_offline(tmp_path, monkeypatch):
    """From what save_pretrained writes to results, as a user does it."""
    pytest.importorskip('transformers', reason='its network proposes the masks')
    from small_networks import save_network

    from mmovseg.apis import OVSegInferencer

    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    save_network(tmp_path)
    cfg = load_config('eomt-s_convnext-l')
    cfg.model.proposals = dict(type='TransformersProposals', pretrained=str(tmp_path))
    for part in (cfg.model.backbone, cfg.model.text_classifier):
        part.update(model_name='tiny-convnext', pretrained=None)
    cfg.model.update(train_vocabulary=KNOWN, test_vocabulary=KNOWN)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', 'No weights')  # there is nothing to train
        segment = OVSegInferencer(cfg, device='cpu', show_progress=False)
    statistics = segment.model.data_preprocessor
    black = (0 - statistics.mean) / statistics.std
    own = segment.model.proposals.normalize(black)
    torch.testing.assert_close(own, segment.model.proposals._black)
    photo = torch.randint(0, 256, (64, 96, 3)).byte().numpy()
    assert segment(photo, vocabulary='cat, kite; toy, stuff: sky')['predictions'][0]


def test_proposals_of_transformers_are_not_exported():
    pytest.importorskip('transformers', reason='its network proposes the masks')
    from small_networks import EOMT

    from mmovseg.apis.export import export_program

    model = make(silent=True, ensemble=None)
    model.proposals = MODELS.build(
        dict(type='TransformersProposals', pretrained=None, architecture=EOMT)
    )
    with pytest.raises(ValueError, match=r'proposals \(.*cannot be exported.*of ours'):
        export_program(model)


@pytest.mark.slow
def test_proposals_of_ours_are_exported(tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime', reason='it runs the graph')
    from mmovseg.apis.export import export_program, save_onnx

    model = make(silent=True, ensemble=None)
    backbone = dict(
        type='mmseg.ResNetV1c', depth=18, stem_channels=16, base_channels=16
    )
    model.proposals = MODELS.build(
        dict(type='MaskFormerProposals', backbone=backbone, num_queries=5)
    ).eval()
    program = export_program(model)
    save_onnx(program, tmp_path / 'x.onnx', dict(text_input=False))
    images = torch.rand(1, 3, 64, 96) * 255
    session = onnxruntime.InferenceSession(str(tmp_path / 'x.onnx'))
    scores, masks = session.run(None, {'images': images.numpy()})
    text = model.encode_vocabulary(model.vocabulary)
    with torch.no_grad():
        expected = model.segment(images, text)[-1]
    torch.testing.assert_close(
        torch.from_numpy(masks), expected.mask_logits, atol=1e-3, rtol=1e-3
    )
    expected = expected.class_logits.softmax(-1)
    torch.testing.assert_close(torch.from_numpy(scores), expected, atol=1e-3, rtol=1e-2)
