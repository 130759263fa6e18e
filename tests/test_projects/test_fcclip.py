"""FC-CLIP: a small one against mmdet's own head, in training and inference."""

import pytest
import torch
import torch.nn.functional as F
from golden_utils import ROOT
from mmengine.config import Config
from mmengine.structures import BaseDataElement, InstanceData, PixelData

from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS

CONFIG = ROOT / 'projects/fcclip/configs/fcclip_convnext-l_zs-ade20k.py'
QUERIES = 6


def small_config():
    """Return the model's config with a tiny CLIP, narrow and shallow parts."""
    cfg = Config.fromfile(CONFIG).model

    def shrink(part):
        for key, value in part.items():
            if isinstance(value, dict):
                shrink(value)
            elif key in ('embed_dims', 'feat_channels', 'out_channels', 'channels'):
                part[key] = 32
            elif key == 'num_feats':
                part[key] = 16
            elif key == 'feedforward_channels':
                part[key] = 64
            elif key == 'num_layers':
                part[key] = 3
            elif key == 'model_name':
                part[key] = 'tiny-convnext'
            elif key == 'pretrained':
                part[key] = None

    shrink(cfg)
    cfg.decoder.num_queries = QUERIES
    cfg.criterion.num_points = 64
    cfg.train_vocabulary = cfg.test_vocabulary = ['thing: dog', 'grass', 'thing: kite']
    return cfg


@pytest.fixture
def model(seed, tiny_clip):
    return MODELS.build(small_config())


@pytest.mark.ops
def test_masks_are_those_of_mask2former(model):
    cfg = small_config()
    head = dict(
        cfg.decoder.transformer,
        in_channels=list(model.backbone.out_channels),
        feat_channels=32,
        out_channels=32,
        num_queries=QUERIES,
        num_things_classes=1,
        num_stuff_classes=0,
        pixel_decoder=cfg.neck.pixel_decoder,
        _scope_='mmdet',
    )
    theirs = MODELS.build(head).eval()
    weights = model.decoder.transformer.state_dict()
    weights |= {
        f'pixel_decoder.{name}': value
        for name, value in model.neck.pixel_decoder.state_dict().items()
    }
    missing = theirs.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys
    assert set(missing.missing_keys) == {'cls_embed.weight', 'cls_embed.bias'}

    images = torch.randn(2, 3, 64, 96)
    features = list(model.backbone(images))
    with torch.no_grad():
        samples = [BaseDataElement(metainfo={}) for _ in images]
        _, expected = theirs(features, samples)
        text = model.embed(model.vocabulary)
        pixels = model.eval().neck(tuple(features), text)
        stages = model.decoder(pixels, None, text)
    assert len(stages) == len(expected) == 4  # one before the first layer
    for stage, masks in zip(stages, expected, strict=True):
        torch.testing.assert_close(stage.mask_logits, masks)


@pytest.mark.ops
@torch.no_grad()
def test_classes_come_from_pooled_mask_features_and_queries(model):
    model.eval()
    text = TextEmbeddings(
        F.normalize(torch.randn(4, model.text_classifier.embed_dims), dim=-1),
        torch.tensor([0, 1, 2, 3]),
        3,
    )
    pixels = model.neck(model.backbone(torch.randn(1, 3, 64, 96)), text)
    *_, last = stages = model.decoder(pixels, None, text)
    [alone] = model.decoder(pixels, None, text, all_stages=False)
    torch.testing.assert_close(alone.class_logits, last.class_logits)

    queries, _ = model.decoder.transformer(
        (pixels[0], list(pixels[1:])), [BaseDataElement()]
    )
    head = model.decoder.head
    scale = head.logit_scale.exp().clamp(max=100)
    for stage, embeddings in zip(stages, queries, strict=True):
        for row, mask, query in zip(
            stage.class_logits[0], stage.mask_logits[0], embeddings[0], strict=True
        ):
            inside = pixels[0][0][:, mask > 0]  # [C, positions]
            pooled = inside.mean(1) if inside.numel() else query.new_zeros(32)
            region = head.embed(head.mask_proj(pooled) + query)
            cosines = text.weight @ F.normalize(region, dim=0)
            torch.testing.assert_close(row, scale * cosines, atol=1e-4, rtol=1e-4)


@pytest.mark.ops
def test_learns_everything_but_clip_and_predicts(model):
    model.init_weights()
    sample = BaseDataElement(metainfo=dict(img_shape=(64, 96), ori_shape=(32, 48)))
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[:, 8:40, 8:60] = True
    sample.gt_instances = InstanceData(labels=torch.tensor([2]), masks=masks)
    sample.gt_sem_seg = PixelData(sem_seg=torch.full((1, 64, 96), 1))
    images = torch.randn(2, 3, 64, 96)
    losses = model.train()(images, [sample] * 2, mode='loss')
    assert len(losses) == 3 * 4
    sum(losses.values()).backward()
    frozen = ('backbone.', 'text_classifier.clip', 'text_classifier.logit_scale')
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith(frozen), name
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    for part in (model.neck, model.decoder.head, model.decoder.transformer):
        assert any(p.grad.any() for p in part.parameters())

    [result] = model.eval()(images[:1], [sample], mode='predict')
    labels = result.pred_panoptic_seg.sem_seg % result.pred_panoptic_seg.label_divisor
    assert labels.shape == (1, 32, 48)
    assert labels.max() <= 3


def test_refuses_a_spatial_branch():
    Config.fromfile(CONFIG)  # imports the project
    decoder = dict(small_config().decoder, spatial_channels=8, embed_channels=16)
    with pytest.raises(ValueError, match=r'got one of 8 channels.*spatial_backbone=N'):
        MODELS.build(decoder)
