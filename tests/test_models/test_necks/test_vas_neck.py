import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope

from mmovseg.apis import set_vocabulary
from mmovseg.models.necks import VASNeck
from mmovseg.models.structures import TextEmbeddings
from mmovseg.registry import MODELS


def maps():
    sizes = ((8, 8), (4, 4), (2, 2), (1, 1))
    channels = (4, 8, 12, 16)
    return tuple(torch.randn(1, c, *s) for c, s in zip(channels, sizes, strict=True))


@torch.no_grad()
def test_selection_scales_the_aggregated_map(seed):
    neck = VASNeck((4, 8, 12, 16), 6, hidden_channels=5, out_channels=7).eval()
    weight = F.normalize(torch.randn(3, 6), dim=-1)
    text = TextEmbeddings(weight, torch.arange(3), 2)
    features = maps()
    fused = neck.aggregator(features)
    expected = fused * neck.selection.attention(fused, weight)
    selected = neck(features, text)
    torch.testing.assert_close(selected, expected)
    # One copy on the way would cost what the layout gains.
    assert selected.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match='TextEmbeddings'):
        neck(features)


@torch.no_grad()
def test_without_text_channels_it_is_a_plain_neck(seed):
    neck = VASNeck((4, 8, 12, 16), None, hidden_channels=5, out_channels=7).eval()
    features = maps()
    torch.testing.assert_close(neck(features), neck.aggregator(features))


TEXT = dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}'])
CHANNELS = (4, 8, 12, 16)


def own(**arguments):
    return VASNeck(
        CHANNELS,
        hidden_channels=5,
        out_channels=7,
        text=TEXT,
        vocabulary=['dog', 'grass'],
        **arguments,
    ).eval()


@torch.no_grad()
def test_with_text_of_its_own_it_gives_what_it_gives_inside_our_models(seed):
    neck, features = own(), maps()
    plain = VASNeck(CHANNELS, 64, hidden_channels=5, out_channels=7).eval()
    state = {k: v for k, v in neck.state_dict().items() if k in plain.state_dict()}
    plain.load_state_dict(state)
    text = neck.text(neck.vocabulary)
    levels = neck(features)
    assert torch.equal(levels[0], plain(features, text))
    # Finest first, all of one width, projections of the top-down path.
    assert [tuple(x.shape[1:]) for x in levels] == [
        (7, side, side) for side in (8, 4, 2, 1)
    ]
    top_down = neck.aggregator.top_down(features)
    for index in (1, 2, 3):
        expected = neck.outputs[str(index)](top_down[3 - index])
        torch.testing.assert_close(levels[index], expected)
        assert levels[index].is_contiguous()


@torch.no_grad()
def test_its_vocabulary_can_be_another_one(seed):
    neck, features = own(out_indices=[0, 3]), maps()
    first, coarse = neck(features)
    set_vocabulary(torch.nn.Sequential(neck), ['kite', 'tree', 'cat'])
    assert neck.vocabulary.names == ('kite', 'tree', 'cat')
    second, same = neck(features)
    assert not torch.equal(first, second)
    assert torch.equal(coarse, same)
    with pytest.raises(ValueError, match='No part of this Linear has a vocabulary'):
        set_vocabulary(torch.nn.Linear(1, 1), ['kite'])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(text=TEXT), 'needs text and vocabulary or neither'),
        (dict(vocabulary=['dog']), 'needs text and vocabulary or neither'),
        (dict(text=TEXT, vocabulary=['dog'], text_channels=7), 'embeds names in 64'),
        (dict(out_indices=[4], text_channels=None), 'has 4, but it has 4 levels'),
        (dict(), 'nobody told it of any: in a model of another package give it text'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VASNeck(CHANNELS, **arguments)


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (lambda x: x[::-1], ValueError, 'turn them around'),
        (lambda x: x[:3], ValueError, r'built for maps of \[4, 8, 12, 16\] channels'),
        (lambda x: x[0], TypeError, 'VASNeck takes 4 maps, got a single one'),
        (lambda x: (x[0], x[1][..., :3], *x[2:]), ValueError, 'pad_size_divisor'),
    ],
)
def test_wrong_maps_are_named(seed, change, error, message):
    neck = VASNeck(CHANNELS, None, hidden_channels=5, out_channels=7)
    with pytest.raises(error, match=message):
        neck(change(maps()))


def test_maps_of_one_width_in_the_wrong_order_are_named(seed):
    neck = VASNeck((4, 4, 4, 4), None, hidden_channels=5, out_channels=7)
    features = tuple(torch.randn(1, 4, side, side) for side in (1, 2, 4, 8))
    with pytest.raises(ValueError, match=r'VASNeck takes the finest map first, got'):
        neck(features)


def test_parts_of_one_model_share_their_text_tower(seed):
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.neck = own()
            self.head = MODELS.build(dict(TEXT, templates=['the {}']))
            self.other = MODELS.build(dict(TEXT, model_name='tiny-vit'))

    model, second = Model(), Model()
    assert model.head.clip is model.neck.text.clip
    assert model.head.void_embedding is not model.neck.text.void_embedding
    assert model.other.clip is not model.head.clip
    assert second.head.clip is not model.head.clip
    assert own().text.clip is not own().text.clip
    copied = copy.deepcopy(model)
    assert copied.head.clip is copied.neck.text.clip is not model.head.clip
    tower = weakref.ref(model.head.clip)
    model.head.drop_text_tower()
    assert tower() is model.neck.text.clip
    model.neck.text.drop_text_tower()
    gc.collect()
    assert tower() is None


def test_a_plain_name_is_ours_inside_a_model_of_another_package(seed):
    with DefaultScope.overwrite_default_scope('mmseg'):
        neck = MODELS.build(
            dict(
                type='mmovseg.VASNeck',
                in_channels=CHANNELS,
                text=TEXT,
                vocabulary=['dog'],
            )
        )
    assert type(neck.text).__name__ == 'TextClassifier'
