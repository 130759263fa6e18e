"""Lists in the notations of other tools; files that are no vocabularies."""

import itertools
import os

import pytest

from mmovseg.vocabulary import Vocabulary, parsing, vocabulary


@pytest.mark.parametrize(
    'text',
    [
        'dog . cat',
        'dog . cat .',
        'dog\uff0c cat',
        'dog\u3001cat',
        '["dog", "cat"]',
        "['dog', 'cat',]",
        "('dog', 'cat')",
        '[dog, cat]',
        '{dog, cat}',
        '[\n  "dog",\n  "cat"\n]',
        "'dog', 'cat'",
        '"dog","cat",',
        '\u201cdog\u201d, \u201ccat\u201d',
        'dog\ncat\n',
        'dog,\r\ncat,',
        '# mine\ndog\n\ncat',
        '- dog\n- cat',
        '- "dog"\n- "cat"',
        '* dog\n* cat',
        '1. dog\n2. cat',
        '0) dog, 1) cat',
    ],
)
def test_lists_of_other_tools_are_split(text):
    voc = Vocabulary.from_string(text)
    assert voc.synonyms == (('dog',), ('cat',)) and voc.is_thing == (True, True)


def test_our_own_marks_work_inside_other_notations():
    voc = Vocabulary.from_string('["stuff: road, route", "dog\uff1b puppy"]')
    assert voc.synonyms == (('road, route',), ('dog', 'puppy'))
    assert voc.is_thing == (False, True)
    assert Vocabulary.from_names(['stuff\uff1a sky']).names == ('sky',)
    quoted = "'dog\u2019s house', 'cat'"
    assert Vocabulary.from_string(quoted).names == ('dog\u2019s house', 'cat')
    assert Vocabulary.from_string("dog's house, St. Bernard").names == (
        "dog's house",
        'St. Bernard',
    )


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('dog|cat', r"'\|' in 'dog\|cat'; write 'dog; puppy, cat'"),
        ('dog. cat.', 'a full stop in'),
        ('a cat.', 'a full stop in'),
        ('dog . cat, bird', 'a full stop in'),
        ('"dog" "cat"', 'quotes in'),
        ("'dog' 'cat'", 'quotes in'),
        ('"dog, cat', 'quoted names'),
        ('`dog`, `cat`', 'quotes in'),
        ('dog, "cat"', 'quotes in'),
        ('[["dog", "puppy"], ["cat"]]', 'quotes in|brackets in'),
        ('{"dog": 1, "cat": 2}', 'quoted names'),
        ('dog: 1, cat: 2', "unknown prefix 'dog'"),
        ('[dog', 'brackets in'),
        ('1. dog, 5. cat', 'a bullet or number in'),
        (r'dog\ncat', r"'\\\\' in"),
        ('my classes.json', r'nor a \.txt file'),
        ('dog\tcat', 'control character'),
    ],
)
def test_what_is_not_certain_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_string(text)


def test_semicolons_alone_give_one_class_and_a_warning():
    with pytest.warns(UserWarning, match='one class with 3 names'):
        assert Vocabulary.from_string('dog; cat; bird').names == ('dog',)


@pytest.mark.parametrize('line', ['"dog",', "'dog'", '- dog', '1. dog', 'dog,', '[dog'])
def test_lines_in_other_notations_are_refused(tmp_path, line):
    path = tmp_path / 'mine.txt'
    path.write_text(f'cat\n{line}\n')
    with pytest.raises(ValueError, match=r"mine.txt, line 2: .*; write 'dog; puppy"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('dog\ncat\n'.encode('utf-16'), 'UTF-16, not UTF-8'),
        ('dog\ncat\n'.encode('utf-16-le'), 'zero bytes'),
        (b'\x89PNG\r\n\x1a\n\0\0', 'zero bytes'),
        (b'["dog", "cat"]', 'looks like JSON'),
        (b'{\n"names": 1}', 'looks like JSON'),
        (b'dog, cat, bird\n', 'a single class, .* with a comma'),
        (b'<html>\n', 'markup'),
    ],
)
def test_files_of_other_kinds_are_refused(tmp_path, content, message):
    path = tmp_path / 'mine.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'mine.txt.*{message}'):
        Vocabulary.load(path)


def test_what_is_no_regular_file_is_refused(tmp_path):
    (tmp_path / 'folder.txt').mkdir()
    with pytest.raises(ValueError, match=r'folder.txt is a folder'):
        Vocabulary.load(tmp_path / 'folder.txt')
    os.mkfifo(tmp_path / 'pipe.txt')
    with pytest.raises(ValueError, match=r'pipe.txt is no regular file'):
        Vocabulary.load(tmp_path / 'pipe.txt')


def test_limits(tmp_path, monkeypatch):
    path = tmp_path / 'mine.txt'
    path.write_text('dog\ncat\nbird\n')
    monkeypatch.setattr(parsing, 'MAX_CLASSES', 2)
    with pytest.raises(ValueError, match='more than 2 classes'):
        Vocabulary.load(path)
    monkeypatch.setattr(parsing, 'MAX_FILE_BYTES', 8)
    with pytest.raises(ValueError, match='has 13 bytes, at most 8'):
        Vocabulary.load(path)
    monkeypatch.setattr(vocabulary, 'MAX_CLASSES', 2)
    with pytest.raises(ValueError, match='at most 2 classes'):
        Vocabulary.from_names(f'name {i}' for i in itertools.count())


def test_old_line_ends_and_capital_endings(tmp_path):
    path = tmp_path / 'MINE.TXT'
    path.write_bytes(b'dog\rcat\r')
    assert Vocabulary.load(str(path)).names == ('dog', 'cat')
    assert Vocabulary.from_string(str(path)).names == ('dog', 'cat')
