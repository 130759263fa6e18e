"""Text, rows and classifiers of parts in models of others."""

import pytest
import torch

from mmovseg.apis import set_vocabulary
from mmovseg.models.adapters import ClassRows, PartText, TextLinear
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

TEXT = dict(type='TextClassifier', model_name='tiny-rn', templates=['a {}'])
NAMES = ['dog; puppy', 'cat', 'grass']


def test_part_text_gives_the_rows_of_the_classifier(seed):
    part = PartText(TEXT, NAMES).eval()
    expected = part.classifier(Vocabulary.load(NAMES))
    assert torch.equal(part().weight, expected.weight)
    part.set_vocabulary(['sky'])
    assert part().count_classes() == 1
    assert part.train()().count_classes() == 3  # those of the annotation


def test_text_linear_compares_projected_features_with_names(seed):
    layer = TextLinear(6, 4, text=TEXT, vocabulary=NAMES).eval()
    features = torch.randn(2, 5, 6)
    rows = layer.names()
    embeds = torch.nn.functional.normalize(layer.projection(features), dim=-1)
    by_name = embeds @ rows.weight.T / 0.07  # dog, puppy, cat, grass, void
    best = torch.stack([by_name[..., :2].amax(-1), *by_name[..., 2:].unbind(-1)], -1)
    torch.testing.assert_close(layer(features), best)
    maps = TextLinear(6, 3, text=TEXT, vocabulary=NAMES, channels_first=True).eval()
    maps.load_state_dict(layer.state_dict())
    expected = layer(features)[..., :3].movedim(-1, 1)  # without void
    found = maps(features.movedim(-1, 1)[..., None])[..., 0]
    torch.testing.assert_close(found, expected)


def test_wrong_number_of_outputs_names_the_fix():
    with pytest.raises(ValueError, match=r'8 outputs, .* 3 classes: set num_classes'):
        TextLinear(6, 8, text=TEXT, vocabulary=NAMES)


def test_class_rows_are_learned(seed):
    rows = ClassRows(Vocabulary.load(NAMES), 8)
    text = rows()
    assert text.weight.shape == (4, 8) and text.class_ids.tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(text.weight.norm(dim=-1), torch.ones(4))
    text.logits(torch.randn(2, 8), 1.0).sum().backward()
    assert rows.rows.weight.grad.any()


def test_set_vocabulary_reaches_every_part_and_count(seed):
    model = torch.nn.Module()
    model.head = torch.nn.Module()
    model.head.cls = TextLinear(6, 3, text=TEXT, vocabulary=NAMES)
    model.head.num_classes = 3
    model.decode_head, model.out_channels = model.head, 3
    model.dataset_meta = dict(classes=('a',), palette=[[0, 0, 0]])
    classes = set_vocabulary(model, 'sky, tree; oak')
    assert model.head.cls.names.vocabulary is classes
    assert model.head.num_classes == model.out_channels == 2
    assert model.dataset_meta == dict(classes=('sky', 'tree'), palette=[[0, 0, 0]])
    fusion = MODELS.build(
        dict(type='MaskFusionHead', num_things_classes=1, num_stuff_classes=0)
    )
    model.fusion, model.num_things_classes = fusion, 1
    with pytest.raises(ValueError, match='list things before stuff'):
        set_vocabulary(model, 'stuff: sky, dog')
    set_vocabulary(model, 'dog, stuff: sky')
    assert fusion.vocabulary.names == ('dog', 'sky')
    assert model.num_things_classes == model.num_stuff_classes == 1
    with pytest.raises(ValueError, match='No part of this Linear has a vocabulary'):
        set_vocabulary(torch.nn.Linear(1, 1), 'dog')
