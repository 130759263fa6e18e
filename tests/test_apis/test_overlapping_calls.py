"""Calls that overlap in threads give the results of single calls.

The order of events is forced by barriers and events, never left to luck.
"""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from mmovseg.analysis.profiling import build_model, count_macs, watch_parts
from mmovseg.apis import OVSegInferencer
from mmovseg.apis.images import ImageError
from mmovseg.models.backbones import CLIPViTBackbone, DenseCLIPViT
from mmovseg.models.text import TextClassifier, TextTower
from mmovseg.shapeworld.drawing import draw_numbered
from mmovseg.vocabulary import Vocabulary

WAIT = 60
FIRST = 'stuff: brick, stuff: wood, purple star, yellow cross'
OTHER = 'yellow cross, purple star, stuff: wood, stuff: brick, red circle'
PHOTOS = [
    np.ascontiguousarray(draw_numbered(20, 'val', i, size).image[..., ::-1])
    for i, size in enumerate((64, 96, 64, 128))
]


@pytest.fixture(scope='module')
def models():
    """One inferencer for each kind of model; tests leave them as they are."""
    torch.manual_seed(0)
    found = {'eovseg': make('eovseg_tiny_shapeworld', 'shapeworld')}
    for name in ('deop', 'simbaseline'):
        found[name] = make(build_model(f'{name}_tiny_shapeworld-zs'))
    return found


def make(model, weights=None, **options):
    return OVSegInferencer(
        model, weights, device='cpu', show_progress=False, num_workers=1, **options
    )


@pytest.fixture
def inferencer(models):
    inferencer = models['eovseg']
    before = inferencer.model.vocabulary
    inferencer.set_vocabulary(FIRST)
    yield inferencer
    inferencer.model.execution = None
    inferencer.set_vocabulary(before)


def brief(result):
    return sorted((x['name'], x['area'], x['box']) for x in result['segments'])


def run(inferencer, photo, **options):
    return brief(inferencer(photo, task='semantic', **options)['predictions'][0])


class Gate:
    """Stands at the network of a model and does something before and after it."""

    mode = None

    def __init__(self, before=lambda: None, after=lambda: None):
        self.before, self.after = before, after

    def __call__(self, model, *arguments):
        self.before()
        prediction = model.segment_batch(*arguments)
        self.after()
        return prediction


def state_of(model):
    """What a call may not change: weights, buffers and plain attributes."""
    tensors = {k: v.clone() for k, v in model.state_dict().items()}
    plain = {
        (name, key): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, (bool, int, float, str, tuple, torch.Tensor, type(None)))
        and key != '_weights'  # of what the text cache is
    }
    flags = torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()
    return tensors, plain, flags, torch.get_num_threads()


def assert_same_state(model, before):
    tensors, *rest = state_of(model)
    assert tensors.keys() == before[0].keys()
    assert all(torch.equal(tensors[k], before[0][k]) for k in tensors)
    assert rest == list(before[1:])


# A call keeps what it started with


def test_the_vocabulary_is_changed_while_the_network_runs(inferencer):
    expected = run(inferencer, PHOTOS[1])
    gate = Gate(after=lambda: inferencer.set_vocabulary(OTHER))
    inferencer.model.execution = gate
    assert run(inferencer, PHOTOS[1]) == expected
    inferencer.model.execution = None
    assert run(inferencer, PHOTOS[1]) == run(inferencer, PHOTOS[1], vocabulary=OTHER)
    assert run(inferencer, PHOTOS[1], vocabulary=FIRST) == expected != []


def test_the_vocabulary_is_changed_between_photos_of_a_folder(inferencer, tmp_path):
    for index, photo in enumerate(PHOTOS):
        Image.fromarray(photo[..., ::-1]).save(tmp_path / f'{index}.png')
    expected = [run(inferencer, photo) for photo in PHOTOS]
    lists = iter([OTHER, 'one, two', FIRST, OTHER])
    gate = Gate(after=lambda: inferencer.set_vocabulary(next(lists)))
    inferencer.model.execution = gate
    found = inferencer(tmp_path, task='semantic')['predictions']
    assert [brief(result) for result in found] == expected
    assert inferencer.model.vocabulary.names[0] == 'yellow cross'


@pytest.mark.parametrize('bad', [['a', 'a'], [], 'no_such_list_', [' ']])
def test_a_vocabulary_that_fails_leaves_the_old_one(inferencer, bad):
    before = inferencer.model.vocabulary
    with pytest.raises((ValueError, TypeError, FileNotFoundError)):
        inferencer.model.set_vocabulary(bad)
    assert inferencer.model.vocabulary is before
    with pytest.raises((ValueError, TypeError, FileNotFoundError)):
        inferencer(PHOTOS[0], vocabulary=['a', 'a'])
    assert inferencer.model.vocabulary is before


def test_embeddings_keep_what_was_seen(inferencer):
    model, images = inferencer.model, torch.randn(1, 3, 64, 64)
    names = [*Vocabulary.load('shapeworld').names[:3], 'new']
    first = Vocabulary.from_names(names)
    text = model.encode_vocabulary(first)
    assert text.seen.tolist() == list(first.seen_in(model.train_vocabulary))
    with torch.no_grad():
        expected = model.segment(images, text)[0].class_logits
        model.set_vocabulary(['other', 'names', 'of', 'four classes'])
        assert torch.equal(model.segment(images, text)[0].class_logits, expected)
        # Without it the model's own vocabulary counts, if it can be that one.
        other = model.segment(images, text._replace(seen=None))[0].class_logits
        assert not torch.equal(other, expected)
        model.set_vocabulary(['two', 'classes'])
        with pytest.raises(ValueError, match=r'of 4 classes .* model has 2 classes'):
            model.segment(images, text._replace(seen=None))


def test_an_error_in_a_call_leaves_nothing_changed(inferencer):
    before = state_of(inferencer.model)

    def fail():
        raise RuntimeError('the network failed')

    inferencer.model.execution = Gate(after=fail)
    with pytest.raises(RuntimeError, match='the network failed'):
        inferencer(PHOTOS[0], task='semantic', vocabulary=OTHER)
    inferencer.model.execution = None
    with pytest.raises(ImageError):
        inferencer('no_such_photo.png', task='instance')
    with pytest.raises(ValueError, match='heatmaps'):
        inferencer(PHOTOS[0], show_heatmaps='brick')
    assert_same_state(inferencer.model, before)


# Several threads


def overlap(inferencer, calls):
    """Run calls in threads that are all in the network at the same time, twice."""
    barrier = threading.Barrier(len(calls), timeout=WAIT)
    inferencer.model.execution = Gate(barrier.wait, barrier.wait)
    try:
        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(inferencer, **call) for call in calls * 2]
            return [future.result(WAIT) for future in futures]
    finally:
        inferencer.model.execution = None


CALLS = [
    dict(inputs=PHOTOS[0], task='panoptic', vocabulary=FIRST),
    dict(inputs=PHOTOS[1], task='semantic', vocabulary=OTHER),
    dict(inputs=PHOTOS[2], task='instance', vocabulary=OTHER, score_thr=0.0),
    dict(inputs=PHOTOS[3], task='panoptic', vocabulary='a, b, c', score_thr=0.2),
]


@pytest.mark.parametrize('name', ['eovseg', 'deop', 'simbaseline'])
def test_four_threads_get_the_results_of_single_calls(models, name):
    inferencer = models[name]
    expected = [inferencer(**call)['predictions'] for call in CALLS]
    before = state_of(inferencer.model)
    found = overlap(inferencer, CALLS)
    assert [result['predictions'] for result in found] == expected * 2
    assert_same_state(inferencer.model, before)


def test_options_of_one_call_are_not_those_of_another(models, tmp_path):
    inferencer = models['deop']
    names = inferencer.model.vocabulary.names
    common = dict(inputs=PHOTOS[1], task='semantic')
    folders = [tmp_path / 'a', tmp_path / 'b']
    calls = [
        dict(common, out_dir=folders[0], show_heatmaps=names[0], return_vis=True),
        dict(common, out_dir=folders[1]),
        dict(common, return_datasamples=True),
    ]
    heat, plain, samples, *_ = overlap(inferencer, calls)
    assert 'image_0_heatmaps.png' in {x.name for x in folders[0].iterdir()}
    assert 'image_0_heatmaps.png' not in {x.name for x in folders[1].iterdir()}
    assert len(heat['heatmaps']) == 1 and not plain['heatmaps']
    assert 'pred_heatmaps' not in samples['predictions'][0]
    assert heat['predictions'] == plain['predictions']


@pytest.mark.parametrize('fast', [['resize'], ['bf16'], ['bf16', 'resize']])
def test_threads_on_a_fast_model(models, fast):
    inferencer = make(copy.deepcopy(models['eovseg'].model), fast=fast)
    inferencer.model.cfg = models['eovseg'].model.cfg
    execution = inferencer.model.execution
    expected = [inferencer(**call)['predictions'] for call in CALLS[:2]]
    barrier = threading.Barrier(2, timeout=WAIT)

    class Both:
        mode = execution.mode

        def __call__(self, *arguments):
            barrier.wait()
            prediction = execution(*arguments)
            barrier.wait()
            return prediction

    inferencer.model.execution = Both()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(inferencer, **call) for call in CALLS[:2]]
        found = [future.result(WAIT)['predictions'] for future in futures]
    assert found == expected


def pause(module, thread, meanwhile):
    """When a thread comes to a module, run something else to its end first."""

    def hook(*_):
        if threading.current_thread() is thread:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(meanwhile).result(WAIT)

    return module.register_forward_pre_hook(hook)


@pytest.mark.parametrize('kind', [CLIPViTBackbone, DenseCLIPViT])
@torch.no_grad()
def test_position_tables_of_two_sizes_at_a_time(kind, tiny_clip, seed):
    backbone = kind(tiny_clip['vit']).eval()
    small, large = torch.randn(1, 3, 48, 64), torch.randn(1, 3, 80, 96)
    expected = backbone(small), backbone(large)
    before = state_of(backbone)
    others = []
    visual = getattr(backbone, 'visual', None) or backbone.intermediates['visual']
    main = threading.current_thread()
    for module in (visual.conv1, visual.ln_pre, visual.transformer.resblocks[0]):
        handle = pause(module, main, lambda: others.append(backbone(large)))
        assert torch.equal(backbone(small), expected[0])
        handle.remove()
    assert len(others) == 3
    assert all(torch.equal(other.detach(), expected[1]) for other in others)
    assert_same_state(backbone, before)


# Text


@pytest.fixture(params=[None, dict(type='PromptLearner', prefix_length=3)])
def classifier(request, tiny_clip, seed):
    templates = None if request.param else ['{}', 'a photo of a {}.']
    return TextClassifier(
        'tiny-vit', templates=templates, prompt_learner=request.param, cache_dir=None
    ).eval()


def names_of(text):
    return Vocabulary.from_string(text)


def test_two_vocabularies_are_encoded_at_a_time(classifier):
    short, long = names_of('dog, cat'), names_of('a rather long name of a thing, sea')
    reference = copy.deepcopy(classifier)
    expected = reference.encode(short), reference.encode(long)
    before = state_of(classifier)
    others = []
    layers = classifier.tower._layers
    tower = classifier.tower
    main = threading.current_thread()
    for module in (layers.token_embedding, layers.transformer, layers.ln_final):
        handle = pause(module, main, lambda: others.append(tower.encode(long)))
        assert torch.equal(tower.encode(short), expected[0])
        handle.remove()
    assert len(others) == 3
    assert all(torch.equal(other, expected[1]) for other in others)
    assert_same_state(classifier, before)


def test_a_vocabulary_that_several_threads_need_is_encoded_once(
    classifier, monkeypatch
):
    vocabulary, original, calls = names_of('dog, cat'), TextTower.encode, []
    started, go_on = threading.Event(), threading.Event()

    def encode(self, names):
        calls.append(names)
        started.set()
        assert go_on.wait(WAIT)
        return original(self, names)

    cached = classifier.encode(names_of('sea'))
    monkeypatch.setattr(TextTower, 'encode', encode)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(classifier.encode, vocabulary) for _ in range(4)]
        assert started.wait(WAIT)
        # What is there already is not waited for.
        assert torch.equal(classifier.encode(names_of('sea')), cached)
        go_on.set()
        first, *others = [future.result(WAIT) for future in futures]
    assert calls == [vocabulary]
    assert all(torch.equal(first, other) for other in others)


def test_the_memory_is_filled_by_several_threads(classifier, monkeypatch):
    lists = [names_of(f'name {i}') for i in range(40)]  # more than are kept
    monkeypatch.setattr(
        TextTower,
        'encode',
        lambda _, names: torch.full((1, 64), float(names.names[0][5:])),
    )

    def look(offset):
        order = lists[offset:] + lists[:offset]
        return [classifier.encode(x)[0, 0].item() for x in order]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(look, (0, 10, 20, 30)))
    for offset, values in zip((0, 10, 20, 30), found, strict=True):
        assert values == [float((i + offset) % 40) for i in range(40)]


def test_the_tower_is_dropped_while_a_thread_encodes(classifier, monkeypatch):
    vocabulary, original = names_of('dog, cat'), TextTower.encode
    expected = copy.deepcopy(classifier).encode(vocabulary)

    def encode(self, names):
        classifier.drop_text_tower()
        return original(self, names)

    monkeypatch.setattr(TextTower, 'encode', encode)
    assert torch.equal(classifier.encode(vocabulary), expected)
    assert torch.equal(classifier.encode(vocabulary), expected)
    with pytest.raises(RuntimeError, match='was dropped'):
        classifier.encode(names_of('horse'))


# Copies


def copies_of(value):
    return copy.deepcopy(value), pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize('name', ['eovseg', 'deop', 'simbaseline'])
def test_copies_are_equal_and_independent(models, name):
    inferencer = models[name]
    call = dict(CALLS[0], vocabulary=None)
    expected = inferencer(**call)['predictions']
    before = state_of(inferencer.model)
    for copied in copies_of(inferencer):
        assert copied(**call)['predictions'] == expected
        copied.set_vocabulary('one, two')
        copied.num_workers = 2
        copied.model.text_classifier.encode(copied.model.vocabulary)
        copied.model.text_classifier.drop_text_tower()
        with torch.no_grad():
            for parameter in copied.model.parameters():
                parameter.zero_()
        again = pickle.loads(pickle.dumps(copied))  # without a text tower
        assert again.model.vocabulary.names == ('one', 'two')
        again(PHOTOS[0])
    assert_same_state(inferencer.model, before)
    assert inferencer(**call)['predictions'] == expected


def test_one_copy_per_thread(models):
    inferencer = models['eovseg']
    expected = [inferencer(**call)['predictions'] for call in CALLS]
    copied = [copy.deepcopy(inferencer) for _ in CALLS]
    with ThreadPoolExecutor(4) as pool:
        futures = [
            pool.submit(x, **call) for x, call in zip(copied, CALLS, strict=True)
        ]
        assert [x.result(WAIT)['predictions'] for x in futures] == expected


# What is measured is what this thread does


@torch.no_grad()
def test_measuring_sees_its_own_thread_alone(models):
    inferencer = models['eovseg']
    model = inferencer.model
    with ThreadPoolExecutor(1) as pool, watch_parts(model, lambda: 1.0) as parts:
        pool.submit(inferencer, PHOTOS[0]).result(WAIT)
    assert parts == {}
    flags = (
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
    )
    with count_macs():
        assert flags == (
            torch.backends.mha.get_fastpath_enabled(),
            torch.backends.cuda.flash_sdp_enabled(),
        )
