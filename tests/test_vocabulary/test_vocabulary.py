import json
import pickle
import re
import warnings
from pathlib import Path

import pytest

from mmovseg.vocabulary import Vocabulary

# name: classes, things, names, classes seen in coco_panoptic (by the reference code)
PACKAGED = {
    'ade20k_150': (150, 100, 403, 64),
    'ade20k_847': (847, 692, 1342, 101),
    'cityscapes_19': (19, 8, 60, 17),
    'coco_panoptic': (133, 80, 254, 133),
    'coco_stuff': (171, 80, 328, 135),
    'lvis_1203': (1203, 1203, 1825, 80),
    'mapillary_vistas_65': (65, 37, 153, 26),
    'pascal_ctx_459': (459, 394, 559, 85),
    'pascal_ctx_59': (59, 40, 160, 51),
    'pascal_voc_20': (20, 20, 79, 20),
    'pascal_voc_21': (21, 20, 153, 21),
}
DRAWN = {'shapeworld'}  # our own, see tools/dataset_converters/make_shapeworld.py
PLAIN = {
    'plain/ade_150': 'ade20k_150',
    'plain/ade_150_short': 'ade20k_150',
    'plain/ade_847': 'ade20k_847',
    'plain/cityscapes_19': 'cityscapes_19',
    'plain/coco_panoptic_133': 'coco_panoptic',
    'plain/coco_stuff_171': 'coco_stuff',
    'plain/pc_459': 'pascal_ctx_459',
    'plain/pc_59': 'pascal_ctx_59',
    'plain/voc_20': 'pascal_voc_20',
    'plain/voc_20_san': 'pascal_voc_20',
}
# Seen classes of zero-shot training: all classes, number of unseen ones
SEEN = {
    'plain/coco_stuff_156': ('plain/coco_stuff_171', 15),
    'plain/voc_15': ('plain/voc_20', 5),
    'shapeworld_seen': ('shapeworld', 11),
}


# What is packaged


def test_every_file_is_listed_here():
    assert set(Vocabulary.available()) == {*PACKAGED, *PLAIN, *DRAWN, *SEEN}


@pytest.mark.parametrize('name', SEEN)
def test_seen_classes_keep_order_names_and_flags(name):
    whole, num_unseen = SEEN[name]
    seen, whole = Vocabulary.load(name), Vocabulary.load(whole)
    assert len(whole) - len(seen) == num_unseen
    classes = list(zip(whole.synonyms, whole.is_thing, strict=True))
    kept = list(zip(seen.synonyms, seen.is_thing, strict=True))
    assert kept == [entry for entry in classes if entry in kept]
    assert sum(whole.seen_in(seen)) == len(seen)  # no synonym gives a class away


def test_seen_classes_are_those_of_the_papers(shared):
    for name, table in {
        'plain/coco_stuff_156': 'coco_stuff_171_zeroshot',
        'plain/voc_15': 'voc_20_zeroshot',
    }.items():
        unseen = json.loads((shared / f'data/splits/{table}.json').read_text())
        whole = Vocabulary.load(SEEN[name][0])
        left_out = [n for n in whole.names if n not in Vocabulary.load(name).names]
        assert left_out == unseen['unseen_names']


@pytest.mark.parametrize('name', PACKAGED)
def test_packaged_counts(name):
    classes, things, names, seen = PACKAGED[name]
    voc = Vocabulary.load(name)
    assert len(voc) == len(voc.names) == len(voc.is_thing) == classes
    assert sum(voc.is_thing) == things
    assert len(voc.all_names) == len(voc.class_ids) == names
    assert sum(voc.seen_in(Vocabulary.load('coco_panoptic'))) == seen


@pytest.mark.parametrize('name', PLAIN)
def test_plain_lists_have_one_name_per_class(name):
    voc, full = Vocabulary.load(name), Vocabulary.load(PLAIN[name])
    assert all(len(names) == 1 for names in voc.synonyms)
    assert voc.is_thing == full.is_thing


def test_label_order_and_commas_are_official():
    ade = Vocabulary.load('ade20k_150')
    assert ade.names[:8] == (
        'wall', 'building', 'sky', 'floor', 'tree', 'ceiling', 'road', 'bed',
    )  # fmt: skip
    assert ade.is_thing[6:9] == (False, True, True)  # road, bed, window: interleaved
    assert ade.synonyms[71].count('kitchen range') == 2  # twice officially, harmless
    assert Vocabulary.load('plain/ade_150').names[6] == 'road, route'
    assert Vocabulary.load('plain/ade_150').names[8] == 'window'  # officially "window "
    assert Vocabulary.load('cityscapes_19').is_thing == (False,) * 11 + (True,) * 8
    assert Vocabulary.load('coco_panoptic').is_thing == (True,) * 80 + (False,) * 53


def test_equal_official_names_of_ade20k_847_are_told_apart():
    voc = Vocabulary.load('ade20k_847')
    bags = [index for index, names in enumerate(voc.synonyms) if 'bag' in names]
    assert bags == [114, 191, 252]
    assert [voc.names[index] for index in bags] == ['bag', 'traveling bag', 'handbag']


@pytest.mark.parametrize('name', PACKAGED)
def test_packaged_names_equal_the_shared_lists(name, shared):
    lines = (shared / f'data/vocab/{name}.txt').read_text('utf-8').splitlines()
    voc = Vocabulary.load(name)
    expected = [re.split(', ?', line) for line in lines]
    if name == 'ade20k_847':  # ten classes show another name first
        assert list(map(sorted, voc.synonyms)) == list(map(sorted, expected))
    else:
        assert list(map(list, voc.synonyms)) == expected


@pytest.mark.parametrize('name', PLAIN)
def test_plain_names_equal_the_shared_lists(name, shared):
    lines = (shared / f'data/vocab/{name}.txt').read_text('utf-8').splitlines()
    assert list(Vocabulary.load(name).names) == [line.strip() for line in lines]


def test_thing_flags_equal_the_shared_tables(shared):
    for name, table in {
        'ade20k_150': 'ade20k_150',
        'cityscapes_19': 'cityscapes_19',
        'coco_panoptic': 'coco_panoptic_133',
    }.items():
        classes = json.loads((shared / f'data/splits/{table}.json').read_text())
        expected = [bool(entry['isthing']) for entry in classes['classes']]
        assert list(Vocabulary.load(name).is_thing) == expected


@pytest.mark.parametrize('name', PACKAGED)
def test_seen_equals_the_reference_class_by_class(name, shared):
    table = json.loads((shared / 'data/vocab/seen_vs_coco_panoptic.json').read_text())
    seen = Vocabulary.load(name).seen_in(Vocabulary.load('coco_panoptic'))
    assert list(map(int, seen)) == table[name]['mask']


# Building one


def test_from_names_numbers():
    voc = Vocabulary.from_names(['thing: dog;  puppy ', ' stuff:grass', 'kite; dog'])
    assert voc.synonyms == (('dog', 'puppy'), ('grass',), ('kite', 'dog'))
    assert voc.is_thing == (True, False, False)  # no prefix means stuff
    assert voc.names == ('dog', 'grass', 'kite')
    assert voc.all_names == ('dog', 'puppy', 'grass', 'kite', 'dog')
    assert voc.class_ids == (0, 0, 1, 2, 2)
    assert len(voc) == 3


def test_from_names_takes_things_by_their_first_name():
    voc = Vocabulary.from_names(['dog; puppy', 'grass', 'kite'], things=['kite', 'dog'])
    assert voc.is_thing == (True, False, True)
    assert Vocabulary.from_names(['dog', 'grass'], things='dog').is_thing == (
        True,
        False,
    )
    assert Vocabulary.from_names(['dog', 'grass'], things=[]).is_thing == (False, False)


def test_from_string_reads_a_command_line():
    voc = Vocabulary.from_string('person; man, dog, stuff: grass , thing: kite')
    assert voc.synonyms == (('person', 'man'), ('dog',), ('grass',), ('kite',))
    assert voc.is_thing == (True, True, False, True)  # no prefix means thing here


def test_from_string_knows_packaged_names_and_files(tmp_path):
    path = tmp_path / 'mine.txt'
    path.write_text('stuff: sky\n')
    assert Vocabulary.from_string('ade20k_150') == Vocabulary.load('ade20k_150')
    assert Vocabulary.from_string(f' {path} ').names == ('sky',)


def test_load_takes_every_kind_of_source(tmp_path):
    path = tmp_path / 'mine.txt'
    path.write_text('# a comment\nthing: dog; puppy\n\n  stuff: grass\n')
    voc = Vocabulary.from_names(['dog; puppy', 'grass'], things=['dog'])
    assert Vocabulary.load(voc) is voc
    assert Vocabulary.load(path) == voc
    assert Vocabulary.load(str(path)) == voc
    assert Vocabulary.load(['thing: dog; puppy', 'grass']) == voc


def test_file_with_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / 'mine.txt'
    path.write_bytes('\ufeffthing: crème brûlée; 人\r\nsky\r\n'.encode())
    voc = Vocabulary.load(path)
    assert voc.synonyms == (('crème brûlée', '人'), ('sky',))
    assert voc.is_thing == (True, False)


def test_is_hashable_frozen_and_comparable(vocabulary):
    twin = Vocabulary([['dog', 'puppy'], ['grass'], ['kite']], [1, 0, 1])
    assert twin == vocabulary and hash(twin) == hash(vocabulary)
    assert twin.synonyms == (('dog', 'puppy'), ('grass',), ('kite',))
    assert twin.is_thing == (True, False, True)
    assert pickle.loads(pickle.dumps(twin)) == vocabulary
    assert repr(twin) == 'Vocabulary(3 classes, 2 things, 4 names)'
    with pytest.raises(AttributeError):
        twin.is_thing = (True, True, True)


def test_fingerprint_is_the_content(vocabulary):
    # A literal: the hash must not depend on the process.
    assert vocabulary.fingerprint.startswith('2a95a2eb')
    assert Vocabulary(vocabulary.synonyms, (True,) * 3).fingerprint != (
        vocabulary.fingerprint
    )
    regrouped = Vocabulary((('dog',), ('puppy', 'grass'), ('kite',)), (1, 0, 1))
    assert regrouped.all_names == vocabulary.all_names
    assert regrouped.fingerprint != vocabulary.fingerprint


def test_seen_in_equals_a_double_loop():
    train = Vocabulary.load('coco_panoptic')
    test = Vocabulary.load('pascal_ctx_59')
    expected = tuple(
        any(a == b for a in names for other in train.synonyms for b in other)
        for names in test.synonyms
    )
    assert test.seen_in(train) == expected
    assert all(train.seen_in(train))


def test_seen_in_compares_names_as_the_tokenizer_sees_them():
    test = Vocabulary.from_names(['Brick', 'wall; Hot  Dog', '\u00e9tude', 'cat'])
    train = Vocabulary.from_names(['brick', 'hot dog', 'e\u0301tude'])
    assert test.seen_in(train) == (True, True, True, False)
    assert test.names[:2] == ('Brick', 'wall')  # shown as typed
    things = Vocabulary.from_names(['Brick', 'wall'], things=['brick'])
    assert things.is_thing == (True, False)


@pytest.mark.parametrize(
    'classes, is_thing',
    [
        (['cat', 'sky'], (True, True)),
        (['cat', 'stuff: sky'], (True, False)),
        (['thing: cat', 'sky'], (True, False)),
    ],
)
def test_what_is_asked_for_is_a_thing_in_every_form(classes, is_thing, tmp_path):
    path = tmp_path / 'names.txt'
    path.write_text('\n'.join(classes))
    for source in (classes, iter(classes), path, str(path)):
        assert Vocabulary.from_user(source).is_thing == is_thing
    # Lists of data sets and configs are as they were.
    assert Vocabulary.load(path).is_thing[1] is False
    assert Vocabulary.from_user('plain/voc_20') == Vocabulary.load('plain/voc_20')


def test_a_class_without_a_name_of_its_own_is_told():
    with pytest.warns(UserWarning, match="'dog' can never score higher than 'cat'"):
        Vocabulary.from_string('dog, cat; Dog')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        Vocabulary.load('ade20k_847')  # official
        Vocabulary.from_string('hound; dog, cat; dog')


def test_5000_classes():
    voc = Vocabulary.from_names(f'name {i}; other name {i}' for i in range(5000))
    assert len(voc) == 5000 and len(voc.all_names) == 10000
    assert voc.class_ids[-1] == 4999


# Bad input


@pytest.mark.parametrize(
    ('classes', 'message'),
    [
        ([], 'at least one class'),
        (['dog', '  '], 'class 2: blank name'),
        (['dog; ; puppy'], 'class 1: blank name'),
        (['dog;'], 'class 1: blank name'),
        (['thing:'], 'class 1: blank name'),
        (['dog', 'cat; dog', 'dog; hound'], "Classes 1 and 3 are both called 'dog'"),
        (['Dog', 'cat', 'dog'], "1 and 3 are called 'Dog' and 'dog', which CLIP reads"),
        (['hot  dog', 'hot dog'], 'which CLIP reads alike'),
        (['\u00e9tude', 'e\u0301tude'], 'which CLIP reads alike'),
        (['ice-cream', 'Ice - cream'], 'which CLIP reads alike'),
        (['\uff44og', 'dog'], 'which CLIP reads alike'),
        (['salt &amp; pepper'], "HTML entities in .*; write 'salt & pepper'"),
        (['thin: dog'], "class 1: unknown prefix 'thin' in 'thin: dog'"),
        (['x' * 201], r"class 1: the name 'x{40}'... has 201 characters, at most 200"),
        (['dog\tcat'], r"class 1: control character '\\t' in 'dog\\tcat'"),
        (['dog\x00'], r"control character '\\x00'"),
        (['dog\u2028cat'], r"control character '\\u2028'"),
        (['dog\udc80'], r"control character '\\udc80'"),
    ],
)
def test_bad_classes_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_names(classes)


def test_200_characters_are_allowed():
    assert Vocabulary.from_names(['x' * 200]).names == ('x' * 200,)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'at least one class'),
        ('dog,, cat', "class 2 of 'dog,, cat': blank name"),
        ('dog, cat,', "class 3 of 'dog, cat,': blank name"),
        ('dog, thin: grass', "unknown prefix 'thin'"),
        ('dog, dog', "both called 'dog'"),
    ],
)
def test_bad_strings_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_string(text)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'thing: dog\n# x\nthin: cat\n', "mine.txt, line 3: unknown prefix 'thin'"),
        (b'thing: dog\nstuff:\n', 'mine.txt, line 2: blank name'),
        (b'dog\n\ncat; ;\n', 'mine.txt, line 3: blank name'),
        (b'dog\ncr\xe8me\n', 'mine.txt, line 2: not UTF-8'),
        (b'dog\nc\x07at\n', 'mine.txt, line 2: control character'),
        (b'# nothing\n\n', 'mine.txt: A vocabulary needs at least one class'),
        (b'dog\ndog; puppy\n', "mine.txt: Classes 1 and 2 are both called 'dog'"),
    ],
)
def test_bad_files_name_the_line(tmp_path, content, message):
    path = tmp_path / 'mine.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Vocabulary.load(path)


def test_unknown_name_lists_the_packaged_ones():
    with pytest.raises(ValueError, match=r"'ade20k_105'.*mean 'ade20k_150'.*lvis_1203"):
        Vocabulary.load('ade20k_105')


def test_missing_file():
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Vocabulary.load('nowhere.txt')
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Vocabulary.load(Path('nowhere.txt'))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        Vocabulary.from_string('nowhere.txt')


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (lambda: Vocabulary((), ()), ValueError, 'at least one class'),
        (lambda: Vocabulary((('dog',), ()), (1, 1)), ValueError, 'class 2: .*one name'),
        (lambda: Vocabulary((('dog',),), (1, 0)), ValueError, '1 classes .* got 2'),
        (lambda: Vocabulary(((' dog',),), (1,)), ValueError, "around the name ' dog'"),
        (lambda: Vocabulary(('dog',), (1,)), TypeError, "the string 'dog'"),
        (lambda: Vocabulary(((3,),), (1,)), TypeError, 'must be a string, got 3'),
        (lambda: Vocabulary((('dog',),), ('False',)), TypeError, "got 'False'"),
        (lambda: Vocabulary.from_string(['dog']), TypeError, r"got \['dog'\]"),
        (lambda: Vocabulary.from_names([3]), TypeError, 'class 1: .* got 3'),
        (lambda: Vocabulary.from_names('dog'), TypeError, "got 'dog'"),
        (
            lambda: Vocabulary.from_names(['dog'], things=['cat', 'dog']),
            ValueError,
            r"\['cat'\]",
        ),
        (
            lambda: Vocabulary.from_names(['thing: dog'], things=['dog']),
            ValueError,
            "'dog' has a prefix",
        ),
    ],
)
def test_bad_arguments_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize('text', ['coco_panotic', 'ade20k', '/no/such.csv', 'my_list'])
def test_one_word_that_looks_like_a_vocabulary_is_not_taken_for_a_class(text):
    with pytest.raises(ValueError, match='looks like one'):
        Vocabulary.from_string(text)


def test_one_word_may_be_a_class():
    assert Vocabulary.from_string('zebra').names == ('zebra',)
    assert Vocabulary.from_string('stop_sign, car').names == ('stop_sign', 'car')


@pytest.mark.parametrize('read', [Vocabulary.from_names, Vocabulary.from_user])
def test_sets_are_refused_as_they_have_no_order(read):
    with pytest.raises(TypeError, match='A set has no order'):
        read({'cat', 'dog'})


@pytest.mark.parametrize('source', [5, None, {'dog': 1}])
def test_a_vocabulary_is_no_number_and_no_mapping(source):
    with pytest.raises(TypeError, match=r'name, a \.txt file or a list'):
        Vocabulary.load(source)
