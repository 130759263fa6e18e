import json

import pytest

from mmovseg.datasets.validation import compare_names
from mmovseg.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_names(
    ['stuff: wall; brick wall', 'thing: dog; puppy', 'stuff: sky', 'thing: kite']
)


def test_names_that_fit():
    found = compare_names(
        ['Wall-other', 'puppy', 'sky', 'kite'],
        VOCABULARY,
        is_thing=[False, True, False, True],
    )
    assert not found.problems and not found.notes


def test_another_order_is_a_problem_and_another_word_a_note():
    found = compare_names(['wall', 'sky', 'dog', 'dragon'], VOCABULARY)
    assert [text.split(';')[1] for text in found.problems['names']] == [
        " 'sky' is its class 2",
        " 'dog' is its class 1",
    ]
    assert "3 'dragon' / 'kite'" in found.notes['names'][0]


def test_flags_differ_both_ways():
    found = compare_names(
        VOCABULARY.names, VOCABULARY, is_thing=[True, False, False, True]
    )
    assert sorted(found.problems['flags']) == [
        '1 classes are stuff in the data and thing in the vocabulary: dog',
        '1 classes are things in the data and stuff in the vocabulary: wall',
    ]


def test_number_and_repetition():
    found = compare_names(['wall', 'WALL'], VOCABULARY)
    assert found.problems['names'] == [
        "several classes of the data are called ['wall', 'WALL']",
        'the data have 2 classes, the vocabulary 4',
    ]


def test_names_of_several_classes_are_noted():
    vocabulary = Vocabulary.from_names(['dog; pet', 'cat; pet'])
    found = compare_names(['dog', 'cat'], vocabulary)
    assert not found.problems
    assert "'pet' (dog, cat)" in found.notes['names'][0]


@pytest.mark.parametrize(
    ('path', 'vocabulary'),
    [
        ('tiny_coco/annotations/panoptic_val2017.json', 'coco_panoptic'),
        (
            'tiny_ade20k/ADEChallengeData2016/ade20k_panoptic_train.json',
            'ade20k_150',
        ),
    ],
)
def test_official_files_fit_their_vocabularies(shared, path, vocabulary):
    categories = json.loads((shared / 'data' / path).read_text())['categories']
    found = compare_names(
        [cat['name'] for cat in categories],
        Vocabulary.load(vocabulary),
        is_thing=[bool(cat['isthing']) for cat in categories],
    )
    assert not found.problems


def test_things_first_is_found(shared):
    """mmdet's converter numbers ADE20K in another way."""
    path = 'tiny_ade20k/ADEChallengeData2016/ade20k_panoptic_train_thingsfirst.json'
    categories = json.loads((shared / 'data' / path).read_text())['categories']
    vocabulary = Vocabulary.load('ade20k_150')
    found = compare_names(
        [cat['name'] for cat in categories],
        vocabulary,
        is_thing=[bool(cat['isthing']) for cat in categories],
    )
    assert len(found.problems['names']) > 100
    assert len(found.problems['flags']) == 2


@pytest.mark.parametrize(
    ('plain', 'vocabulary'),
    [
        ('plain/coco_stuff_171', 'coco_stuff'),
        ('plain/ade_150_short', 'ade20k_150'),
        ('plain/ade_847', 'ade20k_847'),
        ('plain/pc_59', 'pascal_ctx_59'),
        ('plain/pc_459', 'pascal_ctx_459'),
        ('plain/cityscapes_19', 'cityscapes_19'),
        ('plain/voc_20', 'pascal_voc_20'),
    ],
)
def test_packaged_lists_have_one_order(plain, vocabulary):
    found = compare_names(Vocabulary.load(plain).names, Vocabulary.load(vocabulary))
    assert not found.problems
