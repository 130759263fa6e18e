import itertools
import json

import pytest
import torch
import torch.nn.functional as F

from mmovseg.analysis.vocabulary_report import (
    build_text_tower,
    find_overlap,
    rank_pairs,
)
from mmovseg.vocabulary import Vocabulary


def test_overlap_is_the_official_one(shared):
    path = shared / 'data' / 'vocab' / 'seen_vs_coco_panoptic.json'
    expected = json.loads(path.read_text())
    train = Vocabulary.load('coco_panoptic')
    assert len(expected) == 11
    for name, entry in expected.items():
        assert list(find_overlap(train, Vocabulary.load(name)).seen) == entry['mask']
    test = Vocabulary.load('ade20k_150')
    seen = find_overlap(train, test).seen
    things = [s for s, t in zip(seen, test.is_thing, strict=True) if t]
    assert (sum(seen), sum(things), len(things)) == (64, 44, 100)


def test_flags_and_near_misses():
    train = Vocabulary.from_names(
        ['thing: dog; puppy', 'stuff: table top', 'thing: TV-set', 'stuff: dog food']
    )
    test = Vocabulary.from_names(
        ['stuff: puppy', 'thing: tv set; screen', 'stuff: table top', 'cat']
    )
    overlap = find_overlap(train, test)
    assert overlap.seen == (True, False, True, False)
    assert overlap.other_flags == [0]
    assert overlap.near_misses == [('tv set', 'TV-set')]


def test_shared_names():
    vocabulary = Vocabulary.from_names(['dog; pet', 'cat; pet; cat', 'rug'])
    assert vocabulary.shared_names() == {'pet': [0, 1]}
    shared = Vocabulary.load('ade20k_847').shared_names()
    assert len(shared) == 45
    assert len(shared['dog']) > 1


FIRST = Vocabulary.from_names(['dog; puppy', 'cat; pet', 'rug; mat; pet', 'sky'])
SECOND = Vocabulary.from_names(['wolf', 'dog; hound', 'sea; sky; air'])


def rows_of(vocabulary):
    return F.normalize(torch.randn(len(vocabulary.all_names), 5), dim=-1)


def slow_similarity(first, rows, i, second, other_rows, j):
    """The best pair of different names of two classes."""
    return max(
        (float(rows[a] @ other_rows[b]), (first.all_names[a], second.all_names[b]))
        for a, b in itertools.product(
            range(len(first.all_names)), range(len(second.all_names))
        )
        if first.class_ids[a] == i
        and second.class_ids[b] == j
        and first.all_names[a] != second.all_names[b]
    )


def check(pairs, expected):
    """Rounding may swap equal similarities, but nothing else."""
    ranked = sorted((row[0] for row in expected), reverse=True)[: len(pairs)]
    assert [pair.similarity for pair in pairs] == pytest.approx(ranked, abs=1e-6)
    similarities = {row[1:]: row[0] for row in expected}
    assert len({pair.labels for pair in pairs}) == len(pairs)
    for pair in pairs:
        expected = similarities[pair.names, pair.labels]
        assert pair.similarity == pytest.approx(expected, abs=1e-6)


def test_pairs_within_a_vocabulary_equal_a_loop(seed):
    rows = rows_of(FIRST)
    rows[5] = rows[3]  # 'pet' twice: equal rows that do not count
    pairs = rank_pairs(FIRST, rows, top=6)
    assert len(pairs) == 6
    check(
        pairs,
        [
            (*slow_similarity(FIRST, rows, i, FIRST, rows, j), (i, j))
            for i, j in itertools.combinations(range(4), 2)
        ],
    )
    assert rank_pairs(FIRST, rows, top=2) == pairs[:2]
    assert len(rank_pairs(FIRST, rows, top=100)) == 6


def test_pairs_between_vocabularies_are_the_closest_per_class(seed):
    rows, other = rows_of(FIRST), rows_of(SECOND)
    pairs = rank_pairs(FIRST, rows, SECOND, other, top=10)
    assert len(pairs) == 4
    check(
        pairs,
        [
            max(
                (*slow_similarity(FIRST, rows, i, SECOND, other, j), (i, j))
                for j in range(3)
            )
            for i in range(4)
        ],
    )


def test_classes_with_one_common_name_are_no_pair():
    one, two = Vocabulary.from_names(['sky']), Vocabulary.from_names(['sky'])
    rows = torch.ones(1, 1)
    assert rank_pairs(one, rows, two, rows) == []
    assert rank_pairs(one, rows) == []


def test_a_random_tower_says_so_and_repeats():
    assert build_text_tower()[1] == "tiny-rn, 14 templates, pretrained 'shapeworld'"
    random = {'model.text_classifier.pretrained': None}
    state = torch.get_rng_state()
    classifier, text = build_text_tower(cfg_options=random)
    assert text == (
        'tiny-rn, 14 templates, RANDOM WEIGHTS, whose similarities mean nothing'
    )
    assert torch.equal(torch.get_rng_state(), state)
    again, _ = build_text_tower(cfg_options=random)
    torch.testing.assert_close(classifier.encode(FIRST), again.encode(FIRST))


def test_weights_come_from_the_checkpoint(tmp_path):
    from mmovseg.apis import init_model

    model = init_model('eovseg_tiny_shapeworld')
    path = tmp_path / 'x.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    classifier, text = build_text_tower(checkpoint=path)
    assert text.endswith(f'weights of {path}')
    torch.testing.assert_close(
        classifier.encode(FIRST), model.text_classifier.encode(FIRST)
    )


def test_a_model_without_text_is_named():
    with pytest.raises(ValueError, match='no text_classifier'):
        build_text_tower(cfg_options={'model': {'type': 'EOVSeg', '_delete_': True}})
