"""A mistake in a mix is an error that names the part and what to change."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from projects.mixing.try_mix import make_batch

CONFIGS = Path(__file__).resolve().parents[3] / 'projects' / 'mixing' / 'configs'
TEXT = dict(type='mmovseg.TextClassifier', model_name='tiny-rn', templates=['a {}'])
UPERNET = 'mmseg/upernet_vas-neck'
LITE = 'mmseg/encoder-decoder_lite-decoder'
NAMED = 'mmseg/encoder-decoder_tdee-text'
YOSO = 'mmseg/yoso-like_vas-neck'
HEAD = 'mmseg/fcn_text-head'
OURS = 'mmovseg/eovseg_resnet'
SWIN = 'mmovseg/eovseg_fpn_swin-tdee'
DEOP = 'mmovseg/deop_resnet'
ABSENT = object()  # the key is left out

MISTAKES = [
    # Widths.
    (
        UPERNET,
        {'neck.in_channels': [64, 128, 256, 500]},
        r'VASNeck .*\[64, 128, 256, 512\]',
    ),
    (UPERNET, {'neck.text_channels': 7}, 'text_channels of VASNeck is 7, .* leave'),
    (
        LITE,
        {'decode_head.in_channels': [8, 16, 32, 65]},
        'MaskDecodeHead was built for',
    ),
    (
        LITE,
        {'decode_head.neck.out_channels': 48},
        'neck VASNeck of MaskDecodeHead has 48',
    ),
    (
        YOSO,
        {'decode_head.decoder.channels': 48},
        'decoder LiteDecoder has 48: make chan',
    ),
    (YOSO, {'decode_head.in_channels': [48]}, 'first map of MaskDecodeHead has 48'),
    (OURS, {'decoder.channels': 48}, 'VASNeck gives 32 channels, .*LiteDecoder has 48'),
    (
        DEOP,
        {'head.embed_channels': 32},
        r'head\.embed_channels is 32, .*in 64 channels',
    ),
    # Order, and number.
    (UPERNET, {'neck.in_channels': [512, 256, 128, 64]}, 'VASNeck .*turn them around'),
    (
        UPERNET,
        {'neck.out_indices': [3, 2, 1, 0]},
        'out_indices of VASNeck have to rise',
    ),
    (
        LITE,
        {'decode_head.in_channels': [64, 32, 16, 8]},
        'MaskDecodeHead .*turn them ar',
    ),
    (YOSO, {'neck.out_indices': [1]}, 'MaskDecodeHead makes masks of .*the finest'),
    (
        YOSO,
        {'neck.out_indices': [0, 1]},
        r'built for maps of \[32\] channels, got \[32, 3',
    ),
    (OURS, {'neck.in_channels': [64, 32, 16, 8]}, 'VASNeck does not take .*turn them'),
    (
        OURS,
        {'backbone.out_indices': (1, 2, 3)},
        r'ResNetV1c has maps of strides \[8, 16',
    ),
    (
        SWIN,
        {'spatial_backbone.out_indices': (1, 2)},
        'SwinTransformer gives 2 maps where',
    ),
    (
        SWIN,
        {
            'spatial_backbone': dict(
                type='CLIPViTBackbone', model_name='tiny-vit', out_indices=[0, 1]
            )
        },
        'CLIPViTBackbone gives 2 maps where one is needed',
    ),
    # Text.
    (UPERNET, {'neck.text': ABSENT}, 'VASNeck needs text and vocabulary or neither'),
    (UPERNET, {'neck.vocabulary': ABSENT}, 'VASNeck needs text and vocabulary or neit'),
    (
        UPERNET,
        {
            'neck.text': ABSENT,
            'neck.vocabulary': ABSENT,
            'neck.out_indices': [0, 1, 2, 3],
        },
        r'VASNeck selects by names, and nobody told it of any: .*text=dict\(type=',
    ),
    (
        NAMED,
        {'decode_head.text': ABSENT},
        'MaskDecodeHead has a vocabulary, but nothing',
    ),
    (NAMED, {'decode_head.vocabulary': ABSENT}, 'MaskDecodeHead .* needs a vocabulary'),
    (HEAD, {'decode_head.text': ABSENT}, 'TextHead classifies by names, got text=None'),
    (HEAD, {'decode_head.vocabulary': ABSENT}, 'TextHead .* vocabulary=None: give it'),
    (
        OURS,
        {'text_classifier': None},
        'EOVSeg compares masks with names, so it needs a',
    ),
    (OURS, {'text_classifier': ABSENT}, r"text_classifier=dict\(type='TextClassifier'"),
    # Classes and losses.
    (
        LITE,
        {'decode_head.num_classes': 3},
        'has class 4, but MaskDecodeHead has 3 class',
    ),
    (
        HEAD,
        {'decode_head.vocabulary': ['dog', 'cat']},
        'head has 5 outputs, .*has 2 classes',
    ),
    (
        LITE,
        {'decode_head.criterion': dict(type='CrossEntropyLoss')},
        'CrossEntropyLoss of mmseg compares .*MaskDecodeHead needs one that',
    ),
    (
        OURS,
        {'ensemble': dict(alpha=0.4, beta=0.8)},
        'ResNetV1c is none .*ensemble=None',
    ),
]


def build(name, changes):
    """Build the model of a mix with other values, by dotted name."""
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    for key in [key for key, value in changes.items() if value is ABSENT]:
        *path, last = key.split('.')
        part = cfg.model
        for step in path:
            part = part[step]
        del part[last]
    for key, value in changes.items():
        if isinstance(value, dict):  # in place of what is there
            changes = {**changes, key: dict(value, _delete_=True)}
    kept = {k: v for k, v in changes.items() if v is not ABSENT}
    cfg.merge_from_dict({f'model.{key}': value for key, value in kept.items()})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(dict(cfg.model, _scope_=cfg.default_scope))


@pytest.mark.parametrize(
    ('name', 'changes', 'words'),
    [pytest.param(*x, id=f'{x[0].split("/")[1]}-{"+".join(x[1])}') for x in MISTAKES],
)
def test_mistake_is_named(seed, name, changes, words):
    with pytest.raises((ValueError, TypeError), match=words):
        model = build(name, changes).train()
        batch = model.data_preprocessor(make_batch(), True)
        model(**batch, mode='loss')


@pytest.mark.parametrize('name', sorted({x[0] for x in MISTAKES}))
def test_without_the_mistake_it_trains(seed, name):
    """So it is the mistake that is refused."""
    model = build(name, {}).train()
    losses = model(**model.data_preprocessor(make_batch(), True), mode='loss')
    assert all(torch.as_tensor(x).isfinite().all() for x in losses.values())
