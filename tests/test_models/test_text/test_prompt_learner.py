import open_clip
import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import TextClassifier
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

NAMES = ['traffic light', 'building-other', ' Dog ', 'T-shirt']


@pytest.fixture
def names():
    return Vocabulary.from_names(NAMES)


def build(prefix=4, suffix=0, **kwargs):
    torch.manual_seed(0)
    learner = dict(type='PromptLearner', prefix_length=prefix, suffix_length=suffix)
    learner.update(kwargs)
    return TextClassifier('tiny-vit', prompt_learner=learner, cache_dir=None)


def encode_slowly(classifier, name):
    """Embed ``start prefix name suffix . end`` by hand and read the end."""
    clip, learner = classifier.clip, classifier.prompt_learner
    start, stop, end = 49406, 269, 49407
    table = clip.token_embedding.weight
    tokens = open_clip.get_tokenizer('tiny-vit').encode(name.strip())
    parts = [table[[start]], learner.prefix, table[tokens], learner.suffix]
    parts += [table[[stop]], table[[end]]]
    x = torch.cat([part for part in parts if part is not None])
    length = len(x)
    x = torch.cat([x, table[[0]].expand(77 - length, -1)]) + clip.positional_embedding
    x = clip.transformer(x[None], attn_mask=clip.attn_mask)
    feature = clip.ln_final(x)[0, length - 1] @ clip.text_projection
    return F.normalize(feature, dim=-1)


@pytest.mark.parametrize(('prefix', 'suffix'), [(16, 0), (0, 3), (2, 2)])
@pytest.mark.parametrize('training', [True, False])
def test_rows_are_the_sequence_built_by_hand(
    tiny_clip, names, prefix, suffix, training
):
    classifier = build(prefix, suffix).train(training)
    with torch.no_grad():
        rows = classifier(names).weight
        expected = torch.stack([encode_slowly(classifier, name) for name in NAMES])
    torch.testing.assert_close(rows[:-1], expected, atol=1e-5, rtol=1e-5)
    # And with gradients, which goes another way.
    rows = classifier(names).weight.detach()
    torch.testing.assert_close(rows[:-1], expected, atol=1e-5, rtol=1e-5)


def test_the_prompt_has_the_gradient_of_the_definition(tiny_clip, names):
    classifier = build(2, 1).train()
    weight = torch.randn(len(NAMES), classifier.embed_dims)
    (classifier(names).weight[:-1] * weight).sum().backward()
    learner = classifier.prompt_learner
    found = [learner.prefix.grad.clone(), learner.suffix.grad.clone()]
    learner.zero_grad()
    slow = torch.stack([encode_slowly(classifier, name) for name in NAMES])
    (slow * weight).sum().backward()
    torch.testing.assert_close(found, [learner.prefix.grad, learner.suffix.grad])
    assert all(p.grad is None for p in classifier.clip.parameters())


def test_a_trained_prompt_is_never_stale(tiny_clip, names):
    classifier = build().eval()
    before = classifier(names).weight.detach()
    assert torch.equal(classifier(names).weight, before)
    with torch.no_grad():
        classifier.prompt_learner.prefix.add_(1.0)
    assert not torch.equal(classifier(names).weight[:-1], before[:-1])


def test_a_frozen_prompt_is_cached_in_training(tiny_clip, names, monkeypatch):
    classifier = build(frozen=True).train()
    before = classifier(names).weight
    monkeypatch.setattr(classifier.tower, '_encode_batch', None)
    after = classifier(names).weight
    assert torch.equal(after, before)
    after.sum().backward()
    assert classifier.prompt_learner.prefix.grad is None
    assert classifier.void_embedding.weight.grad is not None


@pytest.mark.parametrize(('frozen', 'files'), [(True, 1), (False, 0)])
def test_only_frozen_prompts_go_to_disk(tiny_clip, names, tmp_path, frozen, files):
    learner = dict(type='PromptLearner', prefix_length=2, frozen=frozen)
    config = dict(type='TextClassifier', model_name='tiny-vit', cache_dir=str(tmp_path))
    MODELS.build(dict(config, prompt_learner=learner)).eval()(names)
    assert len(list(tmp_path.glob('*.safetensors'))) == files


def test_a_long_name_is_refused_with_its_prompt(tiny_clip):
    classifier = build(60)
    with pytest.raises(ValueError, match=r"Class 'a b c .* does not fit into the 77"):
        classifier.encode(Vocabulary.from_names(['a b c d e f g h i j k l m n o']))
    classifier.encode(Vocabulary.from_names(['a b c d e f g h i j k l m n']))


def test_wrong_arguments_are_named(tiny_clip):
    with pytest.raises(ValueError, match='not be negative, nor both 0, got 0 and 0'):
        build(0, 0)
    with pytest.raises(ValueError, match="takes the place of templates 'vild'"):
        TextClassifier(
            'tiny-vit', templates='vild', prompt_learner=dict(type='PromptLearner')
        )


def test_void_starts_with_the_asked_deviation(tiny_clip):
    torch.manual_seed(0)
    std = TextClassifier('tiny-vit', void_std=0.01).void_embedding.weight.std()
    assert 0.005 < std < 0.02
