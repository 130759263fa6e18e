"""A few iterations of demo/shapeworld_demo.py, and what training was told."""

import json
import re

import numpy as np
import open_clip
import pytest
from golden_utils import ROOT, load_module
from mmengine.runner import Runner
from PIL import Image

from mmovseg.shapeworld.drawing import CLASSES, COLORS, PATTERNS, SEEN, SHAPES, UNSEEN
from mmovseg.vocabulary import Vocabulary, get_templates

# Words of names that are not words of CLASSES.
OTHER_WORDS = {
    **{'disc': 'circle', 'box': 'square', 'plus sign': 'cross', 'violet': 'purple'},
    **{'stripy': 'striped', 'spotted': 'dotted'},
}


@pytest.fixture(scope='module')
def demo():
    return load_module(ROOT / 'demo/shapeworld_demo.py')


class Recorder:
    """A tokenizer that remembers all texts."""

    def __init__(self, tokenizer, texts):
        self.tokenizer, self.texts = tokenizer, texts
        self.context_length = tokenizer.context_length

    def __call__(self, texts, *arguments, **options):
        self.texts += [texts] if isinstance(texts, str) else texts
        return self.tokenizer(texts, *arguments, **options)


@pytest.fixture(scope='module')
def run(demo, tmp_path_factory):
    """Run the demo; return its folder and the texts that training tokenized."""
    folder, texts, told = tmp_path_factory.mktemp('demo'), [], []
    get_tokenizer, train = open_clip.get_tokenizer, Runner.train

    def train_and_note(runner):
        model = train(runner)
        told.extend(texts)
        return model

    with pytest.MonkeyPatch.context() as patch:
        # Cached embeddings would need no tokenizer.
        patch.setenv('MMOVSEG_CACHE', str(folder / 'cache'))
        patch.setenv('MMOVSEG_DATA', 'set by the demo')
        patch.setattr(
            open_clip,
            'get_tokenizer',
            lambda *args, **options: Recorder(get_tokenizer(*args, **options), texts),
        )
        patch.setattr(Runner, 'train', train_and_note)
        arguments = ['--num-train', '12', '--num-val', '3', '--num-pictures', '1']
        arguments += ['--max-iters', '3', '--words', 'red star, disc; ring, stuff: sea']
        demo.main([*arguments, '--work-dir', str(folder / 'work')])
    assert any('ring' in text for text in texts)  # after training: it was recorded
    return folder / 'work', told


@pytest.mark.slow
def test_training_is_told_the_seen_names_alone(run):
    seen = Vocabulary.load('shapeworld_seen').all_names
    expected = {t.replace('{}', x) for x in seen for t in get_templates('vild')}
    told = set(run[1])
    assert 'a photo of a red circle.' in told
    assert told <= expected
    every = Vocabulary.load('shapeworld')
    forbidden = [x for names in every.synonyms if names[0] in UNSEEN for x in names]
    assert len(forbidden) > len(UNSEEN)  # with synonyms
    pattern = re.compile(rf'\b({"|".join(map(re.escape, forbidden))})\b')
    assert [text for text in told if pattern.search(text)] == []


def test_no_seen_name_means_an_unseen_class():
    """Every word is known, so that none says 'crimson star' for an unseen class."""
    vocabulary = Vocabulary.load('shapeworld_seen')
    every = Vocabulary.load('shapeworld')
    assert vocabulary.names == SEEN
    stuff = [x for x, thing in zip(SEEN, vocabulary.is_thing, strict=True) if not thing]
    for name, synonyms in zip(vocabulary.names, vocabulary.synonyms, strict=True):
        assert synonyms == every.synonyms[CLASSES.index(name)]
        if name in stuff:
            continue
        for synonym in synonyms:
            for word, plain in OTHER_WORDS.items():
                synonym = synonym.replace(word, plain)
            kind, shape = synonym.split()
            assert kind in (*COLORS, *PATTERNS) and shape in SHAPES
            assert synonym == name
    meant = [x for names in every.synonyms if names[0] in UNSEEN for x in names]
    assert not set(meant) & set(vocabulary.all_names)


@pytest.mark.parametrize('kind', ['panoptic', 'instances'])
def test_no_training_annotation_has_an_unseen_class(run, kind):
    root = run[0] / 'data/shapeworld/annotations'
    found = {}
    for split in ('train', 'val'):
        content = json.loads((root / f'{kind}_{split}.json').read_text())
        names = {x['id']: x['name'] for x in content['categories']}
        parts = content['annotations']
        if kind == 'panoptic':
            parts = [x for annotation in parts for x in annotation['segments_info']]
            assert list(names.values()) == list(SEEN if split == 'train' else CLASSES)
        found[split] = {names[part['category_id']] for part in parts}
    assert len(found['train']) > 10
    assert not found['train'] & set(UNSEEN)
    assert found['val'] & set(UNSEEN)  # or the above would prove nothing


def test_it_leaves_metrics_and_pictures(run):
    folder = run[0]
    metrics = json.loads((folder / 'metrics.json').read_text())
    for name in ('PQ', 'PQ_seen', 'PQ_unseen'):
        assert {f'panoptic/{name}', f'shuffled/{name}'} <= set(metrics)
    for name in ('words.png', 'loss_curve.png', 'predictions/000000.png'):
        assert np.asarray(Image.open(folder / name)).std() > 10
    assert len(list((folder / 'predictions').iterdir())) == 1


def test_exchanged_names_are_others_of_their_kind(demo):
    vocabulary = Vocabulary.load('shapeworld')
    other = demo.shuffle_names(vocabulary)
    assert sorted(other.synonyms) == sorted(vocabulary.synonyms)
    assert other.is_thing == vocabulary.is_thing
    things = set(CLASSES[10:])
    for name, new in zip(vocabulary.names, other.names, strict=True):
        assert (name in things) == (new in things)
        if name in things:
            assert not set(name.split()) & set(new.split()), (name, new)
        else:
            assert name != new


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--max-iters', '1'], '--max-iters must be at least 2'),
        (['--num-val', '0'], '--num-val must be at least 1'),
        (['--num-pictures', '-1'], '--num-pictures must be at least 0'),
        (['--words', 'red star, , wood'], '--words: .*blank name'),
    ],
)
def test_mistakes_are_explained(demo, arguments, words, capsys):
    with pytest.raises(SystemExit):
        demo.parse_args(arguments)
    assert re.search(words, capsys.readouterr().err)


GOOD = {
    **{'panoptic/PQ_seen': 30, 'panoptic/PQ_unseen': 15, 'semantic/mIoU_unseen': 12},
    **{'shuffled/PQ_seen': 2, 'shuffled/PQ_unseen': 2.5},
}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({}, None),
        ({'panoptic/PQ_unseen': 3}, 'PQ_unseen is 3, expected at least'),
        ({'panoptic/PQ_unseen': None}, 'PQ_unseen is None'),
        ({'semantic/mIoU_unseen': 0}, 'mIoU_unseen is 0'),
        ({'shuffled/PQ_unseen': 9}, '15 with the right names and 9 with exchanged'),
        ({'shuffled/PQ_seen': 25}, 'does not go by them'),
    ],
)
def test_ci_refuses_a_model_that_does_not_read_names(change, words, tmp_path, capsys):
    check = load_module(ROOT / '.ci/demo.py')
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(GOOD | change))
    assert check.main(path) == (words is not None)
    assert (words or '') in capsys.readouterr().err
