"""Mask heads of mmdet as proposal networks."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement, PixelData

from mmovseg.models.proposals import MaskFormerProposals, MMDetProposals
from mmovseg.registry import MODELS

pytestmark = pytest.mark.ops
RESNET = dict(
    type='mmseg.ResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=16,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
)
WIDTHS = dict(feat_channels=32, out_channels=32, num_queries=6)


def head(name):
    """Return a head of mmdet's own model files, made small."""
    import mmdet

    [file] = {
        'maskformer': ['maskformer_r50_ms-16xb1-75e_coco.py'],
        'mask2former': ['mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'],
    }[name]
    folder = Path(mmdet.__file__).parent / '.mim' / 'configs' / name
    cfg = Config.fromfile(folder / file).model.panoptic_head

    def shrink(part):
        for key, value in part.items():
            if isinstance(value, dict):
                shrink(value)
            elif key == 'embed_dims':
                part[key] = 32
            elif key == 'num_feats':
                part[key] = 16
            elif key == 'feedforward_channels':
                part[key] = 64
            elif key == 'num_layers':
                part[key] = 3

    shrink(cfg)
    cfg.update(WIDTHS, type=f'mmdet.{cfg.type}')
    cfg.pop('in_channels')  # measured
    return cfg


def plain_maskformer():
    """Return the head without encoder, as the proposals of DeOP have it."""
    cfg = head('maskformer')
    norm = dict(type='GN', num_groups=32)
    cfg.pixel_decoder = dict(type='PixelDecoder', norm_cfg=norm)
    cfg.enforce_decoder_input_project = True
    return cfg


def our_name(name):
    """Map the name of a parameter of mmdet's head to ours."""
    for old, new in (
        ('pixel_decoder.lateral_convs', 'pixel_decoder.laterals'),
        ('pixel_decoder.output_convs', 'pixel_decoder.outputs'),
        ('pixel_decoder.last_feat_conv', 'pixel_decoder.outputs.3'),
        ('pixel_decoder.mask_feature', 'pixel_decoder.mask_features'),
        ('decoder_input_proj', 'input_proj'),
        ('query_embed', 'queries'),
        ('transformer_decoder.layers', 'layers'),
        ('transformer_decoder.post_norm', 'norm'),
        ('.self_attn.attn', '.self_attention'),
        ('.cross_attn.attn', '.cross_attention'),
        ('.ffn.layers.0.0', '.ffn.0'),
        ('.ffn.layers.1', '.ffn.3'),
        ('.norms.0', '.norm1'),
        ('.norms.1', '.norm2'),
        ('.norms.2', '.norm3'),
        ('.conv.', '.0.'),
        ('.gn.', '.1.'),
    ):
        name = name.replace(old, new)
    return name


@torch.no_grad()
def test_maskformer_without_encoder_equals_our_own(seed):
    ours = MaskFormerProposals(RESNET, 6, channels=32, num_layers=3, ffn_channels=64)
    theirs = MMDetProposals(RESNET, plain_maskformer())
    theirs.backbone.load_state_dict(ours.backbone.state_dict())
    own = ours.state_dict()
    weights = {
        name: value if name.startswith('cls_embed') else own.pop(our_name(name))
        for name, value in theirs.head.state_dict().items()
    }
    assert all(name.startswith('backbone') for name in own)
    theirs.head.load_state_dict(weights)
    images = torch.randn(2, 3, 64, 96)
    [expected], [result] = ours.eval()(images), theirs.eval()(images)
    assert result.region_embeds is None and theirs.embed_channels is None
    torch.testing.assert_close(result.mask_logits, expected.mask_logits)


@pytest.mark.parametrize(
    ('make_head', 'stages'),
    [
        (plain_maskformer, 3),
        (lambda: head('maskformer'), 3),
        (lambda: head('mask2former'), 4),  # one before the first layer
    ],
    ids=['plain', 'maskformer', 'mask2former'],
)
def test_trains_as_a_model(seed, make_head, stages):
    model = MODELS.build(
        dict(
            type='ZeroShotMaskFormer',
            proposals=dict(type='MMDetProposals', backbone=RESNET, head=make_head()),
            text_classifier=dict(type='TextClassifier', model_name='tiny-vit'),
            criterion=dict(type='ProposalLoss'),
            fusion=dict(type='MaskFusion'),
            train_vocabulary=['grass', 'dog'],
        )
    )
    model.init_weights()
    data = BaseDataElement(metainfo=dict(img_shape=(64, 96), ori_shape=(64, 96)))
    label_map = torch.ones(1, 64, 96).long()
    label_map[:, 20:50, 10:70] = 0
    data.gt_sem_seg = PixelData(data=label_map)
    losses = model.train()(torch.randn(2, 3, 64, 96), [data] * 2, mode='loss')
    assert len(losses) == 2 * stages
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert model.proposals.head.mask_embed[0].weight.grad.any()
    [raw] = model.eval().segment(
        torch.randn(1, 3, 64, 96), model.text_classifier(model.vocabulary)
    )
    assert raw.mask_logits.shape == (1, 6, 16, 24)
    assert not raw.class_logits.any()
