import copy
import json
import math

import numpy as np
import open_clip
import pytest
import torch
from golden_utils import fill
from torch import nn

from mmovseg.models import TextClassifier
from mmovseg.models.text import TextTower, text_classifier, text_tower
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary, get_templates

TEMPLATES = ['a photo of a {}.', 'There is the {} in the scene']


def build(name='tiny-rn', templates=TEMPLATES, cache_dir=None, seed=0):
    torch.manual_seed(seed)
    return TextClassifier(name, templates=templates, cache_dir=cache_dir)


@pytest.fixture
def calls(monkeypatch):
    """The token tensors that any text tower was asked to encode."""
    shapes, original = [], TextTower._encode_batch

    def spy(self, tokens):
        shapes.append(tuple(tokens.shape))
        return original(self, tokens)

    monkeypatch.setattr(TextTower, '_encode_batch', spy)
    return shapes


@pytest.fixture(scope='session')
def odd_clips(tiny_clip, tmp_path_factory):
    """Text towers of other kinds, with the tiny ResNet as image tower."""
    folder = tmp_path_factory.mktemp('clips')
    config = open_clip.get_model_config('tiny-rn')
    variants = {
        'odd-custom': {'custom_text': True},
        'odd-both-ways': {
            'custom_text': True,
            'text_cfg': {**config['text_cfg'], 'no_causal_mask': True},
        },
        'odd-class-token': {
            'custom_text': True,
            'text_cfg': {**config['text_cfg'], 'embed_cls': True},
        },
        'odd-last': {'text_cfg': {**config['text_cfg'], 'pool_type': 'last'}},
        'odd-gelu': {'quick_gelu': False},
        'odd-heads': {'text_cfg': {**config['text_cfg'], 'heads': 4}},
        'odd-short': {'text_cfg': {**config['text_cfg'], 'context_length': 12}},
    }
    for name, change in variants.items():
        (folder / f'{name}.json').write_text(json.dumps({**config, **change}))
    open_clip.add_model_config(folder)
    return list(variants)


def slow_oracle(classifier, names, templates):
    """One prompt at a time, with the full context of 77 tokens."""
    tokenizer = open_clip.get_tokenizer(classifier.model_name)
    rows = []
    for name in names:
        features = []
        for template in templates:
            tokens = tokenizer([template.format(name)])
            assert tokens.shape == (1, 77)
            with torch.no_grad():
                feature = classifier.clip.encode_text(tokens)[0]
            features.append(feature / feature.norm())
        mean = torch.stack(features).mean(0)
        rows.append(mean / mean.norm())
    return torch.stack(rows)


# Numbers


@pytest.mark.parametrize(
    'name',
    [
        'tiny-rn',
        'tiny-convnext',
        'tiny-vit',
        'odd-custom',
        'odd-both-ways',
        'odd-class-token',
        'odd-last',
    ],
)
def test_equals_one_prompt_at_a_time(odd_clips, name, monkeypatch):
    monkeypatch.setattr(text_tower, 'BATCH_SIZE', 4)  # more than one batch
    monkeypatch.setattr(text_tower, 'CHUNK_SIZE', 3)  # more than one chunk
    names = ['dog', 'a rather long name of a thing', 'crème brûlée', '人', 'wall-other']
    voc = Vocabulary.from_names([f'{names[0]}; {names[1]}', *names[2:]])
    classifier = build(name)
    weight = classifier.encode(voc)
    expected = slow_oracle(classifier, names, TEMPLATES)
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)
    assert weight.shape == (5, classifier.embed_dims) == (5, 64)
    # The tower tells names apart, so the comparison means something.
    assert (weight @ weight.T).fill_diagonal_(0).max() < 0.9999


def test_14_templates_of_the_paper_are_the_default(tiny_clip):
    torch.manual_seed(0)
    classifier = TextClassifier('tiny-rn', cache_dir=None)
    expected = slow_oracle(classifier, ['dog'], get_templates('vild'))
    weight = classifier.encode(Vocabulary.from_names(['dog']))
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)


def test_forward_appends_the_void_row(vocabulary, tiny_clip):
    classifier = build()
    nn.init.constant_(classifier.void_embedding.weight, 3.0)
    text = classifier(vocabulary)
    assert torch.equal(text.weight[:-1], classifier.encode(vocabulary))
    assert torch.equal(text.weight[-1], torch.full((64,), 1 / 8))  # 1 / sqrt(64)
    assert text.class_ids.tolist() == [0, 0, 1, 2, 3]
    assert text.num_classes == 3
    scores = text.logits(text.weight[2:3], scale=10.0)  # the row of 'grass'
    assert scores.shape == (1, 4)
    assert scores[0, 1].item() == pytest.approx(10, abs=1e-4)
    assert scores.argmax() == 1


def test_permuting_classes_permutes_rows(vocabulary, tiny_clip):
    classifier = build()
    weight = classifier.encode(vocabulary)  # dog, puppy, grass, kite
    moved = Vocabulary((('kite',), ('dog', 'puppy'), ('grass',)), (1, 1, 0))
    torch.testing.assert_close(
        classifier.encode(moved), weight[[3, 0, 1, 2]], rtol=0, atol=1e-6
    )


@pytest.mark.slow
def test_golden_rows_of_ade20k(shared, seed):
    """RN50 with the reference weights; 20 classes of the recorded matrix."""
    classifier = TextClassifier('RN50-quickgelu', cache_dir=None)
    state = {
        name: fill.fill_tensor(f'cnn_backbone.clip_model.{name}', tensor.shape)
        for name, tensor in classifier.clip.state_dict().items()
    }
    classifier.clip.load_state_dict(state)
    ade = Vocabulary.load('ade20k_150')
    single = [i for i, names in enumerate(ade.synonyms) if len(names) == 1][:20]
    weight = classifier.encode(Vocabulary.from_names(ade.names[i] for i in single))
    with np.load(shared / 'golden/eovseg_s.npz') as arrays:
        golden = torch.from_numpy(arrays['text_classifier'])
    expected = golden[[ade.class_ids.index(i) for i in single]]
    assert (weight - expected).norm() / expected.norm() < 1e-5


# Work is done once


def test_second_call_encodes_nothing(vocabulary, tiny_clip, calls):
    classifier = build()
    first = classifier(vocabulary)
    assert len(calls) == 1
    again = Vocabulary(vocabulary.synonyms, vocabulary.is_thing)
    second = classifier(again)
    classifier.encode(vocabulary)
    assert len(calls) == 1
    assert torch.equal(first.weight, second.weight)
    classifier(Vocabulary.from_names(['cat']))
    assert len(calls) == 2
    classifier(vocabulary)  # switching back
    assert len(calls) == 2


def test_memory_is_bounded(tiny_clip, calls, monkeypatch):
    monkeypatch.setattr(text_classifier, 'MEMORY_SIZE', 2)
    classifier = build()
    for name in ('a', 'b', 'a', 'c', 'a', 'b'):  # c drops b, as a was used again
        classifier(Vocabulary.from_names([name]))
    assert len(calls) == 4


def test_doubled_names_are_encoded_once(tiny_clip, calls):
    classifier = build()
    weight = classifier.encode(Vocabulary.from_names(['dog; hound; dog', 'cat; dog']))
    assert sum(batch for batch, _ in calls) == 3 * len(TEMPLATES)
    assert torch.equal(weight[0], weight[2]) and torch.equal(weight[0], weight[4])
    assert not torch.equal(weight[0], weight[1])


def test_tokens_are_cut_to_the_longest_prompt_of_the_batch(
    odd_clips, calls, monkeypatch
):
    monkeypatch.setattr(text_tower, 'BATCH_SIZE', 2)
    voc = Vocabulary.from_names(['one two three', 'dog', 'one two', 'cat'])
    build(templates='simple').encode(voc)
    # start + "a photo of a" + name + "." + end; short prompts share a batch
    assert calls == [(2, 8), (2, 10)]
    calls.clear()
    build('odd-custom', templates='simple').encode(voc)
    assert calls == [(2, 8), (2, 10)]
    calls.clear()
    build('odd-both-ways', templates='simple').encode(voc)  # padding has influence
    assert calls == [(2, 77), (2, 77)]


def test_disk_cache_serves_another_process(vocabulary, tiny_clip, calls, tmp_path):
    first = build(cache_dir=tmp_path).encode(vocabulary)
    assert len(calls) == 1 and len(list(tmp_path.iterdir())) == 1
    second = build(cache_dir=tmp_path).encode(vocabulary)
    assert len(calls) == 1
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    'change',
    [
        {'seed': 1},
        {'templates': TEMPLATES[:1]},
        {'templates': TEMPLATES[::-1]},
        {'name': 'odd-gelu'},
        {'name': 'odd-heads'},
    ],
    ids=['weights', 'templates', 'order', 'activation', 'heads'],
)
def test_disk_cache_tells_apart(odd_clips, vocabulary, calls, tmp_path, change):
    base = build(cache_dir=tmp_path)
    base.encode(vocabulary)
    other = build(cache_dir=tmp_path, **change)
    if 'name' in change:  # the same weights in another structure
        other.clip.load_state_dict(base.clip.state_dict())
    other.encode(vocabulary)
    assert len(calls) == 2 and len(list(tmp_path.iterdir())) == 2


def test_disk_cache_ignores_grouping_and_flags(tiny_clip, calls, tmp_path):
    build(cache_dir=tmp_path).encode(Vocabulary.from_names(['dog; cat'], things=[]))
    build(cache_dir=tmp_path).encode(Vocabulary.from_names(['thing: dog', 'cat']))
    assert len(calls) == 1


def test_damaged_cache_file_is_rewritten(vocabulary, tiny_clip, calls, tmp_path):
    expected = build(cache_dir=tmp_path).encode(vocabulary)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match='Ignoring cached text embeddings'):
        weight = build(cache_dir=tmp_path).encode(vocabulary)
    assert len(calls) == 2 and torch.equal(weight, expected)
    assert path.read_bytes() == content


def test_default_cache_folder_and_none(vocabulary, tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setenv('MMOVSEG_CACHE', str(tmp_path))
    build(cache_dir=None).encode(vocabulary)
    assert not list(tmp_path.iterdir())
    build(cache_dir='default').encode(vocabulary)
    assert len(list((tmp_path / 'text').glob('*.safetensors'))) == 1


# The weights can change


@pytest.mark.parametrize('level', ['parent', 'self', 'tower', 'copy_', 'assign'])
def test_loading_weights_empties_the_memory(vocabulary, tiny_clip, calls, level):
    classifier, other = build(seed=0), build(seed=1)
    before = classifier.encode(vocabulary)
    expected = other.encode(vocabulary)
    assert (before - expected).abs().max() > 0.01
    state = other.state_dict()
    if level == 'parent':
        parent = nn.ModuleDict({'text': classifier})
        parent.load_state_dict({f'text.{name}': state[name] for name in state})
    elif level == 'tower':
        classifier.clip.load_state_dict(other.clip.state_dict())
    elif level == 'copy_':
        with torch.no_grad():
            for ours, theirs in zip(
                classifier.parameters(), other.parameters(), strict=True
            ):
                ours.copy_(theirs)
    else:
        classifier.load_state_dict(state, assign=level == 'assign')
    assert torch.equal(classifier.encode(vocabulary), expected)
    assert len(calls) == 3


def test_loading_the_same_weights_keeps_the_memory(vocabulary, tiny_clip, calls):
    classifier = build()
    classifier.encode(vocabulary)
    classifier.load_state_dict(copy.deepcopy(classifier.state_dict()))
    copy.deepcopy(classifier).encode(vocabulary)
    classifier.encode(vocabulary)
    assert len(calls) == 1


# Frozen


def test_only_void_is_trained(vocabulary, tiny_clip):
    classifier = build()
    trained = [n for n, p in classifier.named_parameters() if p.requires_grad]
    assert trained == ['void_embedding.weight']
    classifier(vocabulary).weight.square().mul(torch.arange(64)).sum().backward()
    assert classifier.void_embedding.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in classifier.clip.parameters())


def test_void_is_drawn_from_a_unit_normal(tiny_clip):
    draws = torch.cat([build(seed=i).void_embedding.weight for i in range(5)])
    assert abs(draws.mean()) < 0.2 and 0.85 < draws.std() < 1.15  # 320 numbers


def test_train_keeps_the_tower_in_eval(tiny_clip):
    classifier = build().train()
    assert classifier.training and classifier.void_embedding.training
    assert not any(child.training for child in classifier.clip.modules())


def test_init_weights_changes_nothing(tiny_clip):
    classifier = TextClassifier('tiny-rn')
    # What MMEngine would call on any child that has it.
    classifier.clip.init_weights = lambda: pytest.fail('re-randomized')
    before = copy.deepcopy(classifier.state_dict())
    classifier.init_weights()
    after = classifier.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_state_dict_keys(tiny_clip):
    classifier = build()
    ours = set(classifier.state_dict())
    full = open_clip.create_model('tiny-rn').state_dict()
    tower = {n for n in full if not n.startswith('visual.') and n != 'logit_scale'}
    assert ours == {f'clip.{name}' for name in tower} | {
        'logit_scale',
        'void_embedding.weight',
    }
    assert classifier.logit_scale.shape == ()
    assert classifier.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert not classifier.logit_scale.requires_grad


# The tower can go


def test_after_dropping_only_cached_vocabularies_work(vocabulary, tiny_clip, tmp_path):
    on_disk = Vocabulary.from_names(['cat'])
    expected = build(cache_dir=tmp_path).encode(on_disk)
    classifier = build(cache_dir=tmp_path)
    weight = classifier.encode(vocabulary)
    classifier.drop_text_tower()
    classifier.drop_text_tower()  # twice is harmless
    classifier.train().eval()
    assert sorted(classifier.state_dict()) == ['logit_scale', 'void_embedding.weight']
    assert torch.equal(classifier.encode(vocabulary), weight)
    assert torch.equal(classifier.encode(on_disk), expected)
    with pytest.raises(RuntimeError, match=r'Vocabulary\(1 classes.*was dropped'):
        classifier.encode(Vocabulary.from_names(['horse']))


def test_dropping_before_the_first_use_still_finds_the_file(
    vocabulary, tiny_clip, tmp_path
):
    expected = build(cache_dir=tmp_path).encode(vocabulary)
    classifier = build(cache_dir=tmp_path)
    classifier.drop_text_tower()
    assert torch.equal(classifier.encode(vocabulary), expected)


# Device, precision and modes


def test_follows_the_dtype_of_the_module(vocabulary, tiny_clip):
    classifier = build()
    expected = classifier.encode(vocabulary)
    classifier.to(torch.bfloat16)
    text = classifier(vocabulary)
    assert text.weight.dtype == torch.bfloat16
    torch.testing.assert_close(text.weight[:-1].float(), expected, rtol=0, atol=0.05)
    assert classifier.encode(vocabulary).dtype == torch.bfloat16
    classifier.drop_text_tower()
    assert classifier.float().encode(vocabulary).dtype == torch.float32


def test_follows_the_device_of_the_module(vocabulary, tiny_clip):
    classifier = build()
    classifier.encode(vocabulary)
    classifier.drop_text_tower()
    text = classifier.to('meta')(vocabulary)
    assert text.weight.device.type == text.class_ids.device.type == 'meta'


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_gpu_equals_cpu(vocabulary, tiny_clip):
    classifier = build()
    expected = classifier.encode(vocabulary)
    on_gpu = build().cuda()(vocabulary)
    assert on_gpu.weight.is_cuda and on_gpu.class_ids.is_cuda
    torch.testing.assert_close(on_gpu.weight[:-1].cpu(), expected, rtol=0, atol=1e-4)
    assert classifier.cuda()(vocabulary).weight.is_cuda


def test_autocast_does_not_reach_the_cache(vocabulary, tiny_clip):
    expected = build().encode(vocabulary)
    with torch.autocast('cpu', torch.bfloat16):
        weight = build().encode(vocabulary)
    assert torch.equal(weight, expected)


def test_first_use_in_inference_mode_does_not_spoil_training(vocabulary, tiny_clip):
    classifier = build()
    with torch.inference_mode():
        classifier(vocabulary)
    regions = torch.randn(2, 64, requires_grad=True)
    classifier(vocabulary).logits(regions, 10.0).sum().backward()
    assert regions.grad.abs().sum() > 0


def test_model_built_in_inference_mode_works(vocabulary, tiny_clip):
    with torch.inference_mode():
        weight = build().encode(vocabulary)
    assert torch.equal(weight, build().encode(vocabulary))


# Large vocabularies


def test_5000_names(tiny_clip, monkeypatch):
    monkeypatch.setattr(text_tower, 'BATCH_SIZE', 512)
    voc = Vocabulary.from_names(f'name {i}; {i} other' for i in range(2500))
    classifier = build(templates='plain')
    text = classifier(voc)
    assert text.weight.shape == (5001, 64)
    assert text.class_ids[-3:].tolist() == [2499, 2499, 2500]
    # Rows 2047 and 2048 lie on both sides of a chunk border.
    for row in (0, 2047, 2048, 4999):
        alone = classifier.encode(Vocabulary.from_names([voc.all_names[row]]))
        torch.testing.assert_close(text.weight[row], alone[0], rtol=0, atol=1e-6)


def test_progress_only_of_big_jobs(tiny_clip, capsys, monkeypatch):
    monkeypatch.setattr('mmovseg.progress.LEAST_SECONDS', 0)
    classifier = build(templates='plain')
    classifier.encode(Vocabulary.from_names(f'name {i}' for i in range(500)))
    assert capsys.readouterr().err == ''
    voc = Vocabulary.from_names(f'name {i}' for i in range(501))
    classifier.encode(voc)
    shown = capsys.readouterr().err
    assert 'Text embeddings: 100%, 501 of 501' in shown and '\r' not in shown
    classifier.encode(voc)
    assert capsys.readouterr().err == ''


# Bad input


def test_over_long_name_is_refused_with_its_class(odd_clips, tiny_clip):
    # start + "a photo of a" + name + "." + end: 7 tokens besides the name
    classifier = build('odd-short', templates=['{}', 'a photo of a {}.'])
    fits = 'one two three four five'
    classifier.encode(Vocabulary.from_names(['cat', f'dog; {fits}']))
    with pytest.raises(
        ValueError,
        match=r"Class 'dog': the prompt 'a photo of a one two three four five six.' "
        r"does not fit into the 12 tokens of 'odd-short'; shorten the name 'one two",
    ):
        classifier.encode(Vocabulary.from_names(['cat', f'dog; {fits} six']))


def test_non_ascii_names_differ(tiny_clip):
    names = ['crème brûlée', 'creme brulee', '人', '大', '🐕', 'Straße']
    weight = build().encode(Vocabulary.from_names(names))
    assert weight.isfinite().all()
    assert (weight @ weight.T).fill_diagonal_(0).max() < 0.9999


def test_braces_are_plain_characters(tiny_clip):
    name = Vocabulary((('{0}',),), (True,))
    weight = build(templates=['a {} in {curly} braces']).encode(name)
    expected = build(templates=['a {0} in {curly} {}']).encode(
        Vocabulary.from_names(['braces'])
    )
    torch.testing.assert_close(weight, expected, rtol=0, atol=1e-6)


def test_bad_arguments_are_refused(tiny_clip):
    with pytest.raises(ValueError, match='Unknown CLIP model'):
        TextClassifier('tiny-rm')
    with pytest.raises(ValueError, match="Unknown templates 'vlid'"):
        TextClassifier('tiny-rn', templates='vlid')
    for name in ('roberta-ViT-B-32', 'ViT-B-16-SigLIP'):
        with pytest.raises(ValueError, match='does not use the tokenizer of CLIP'):
            TextClassifier(name)


def test_is_registered(tiny_clip):
    classifier = MODELS.build({'type': 'TextClassifier', 'model_name': 'tiny-rn'})
    assert isinstance(classifier, TextClassifier)


def test_fingerprint_follows_weights_and_templates():
    first, same, other = (
        TextClassifier('tiny-rn', templates=x) for x in ('plain', 'plain', 'simple')
    )
    same.load_state_dict(first.state_dict())
    other.load_state_dict(first.state_dict())
    assert first.fingerprint == same.fingerprint != other.fingerprint
    with torch.no_grad():
        next(same.clip.parameters()).add_(1)
    assert first.fingerprint != same.fingerprint
    before = first.fingerprint
    first.drop_text_tower()
    assert first.fingerprint == before
