"""The rule for equal names against open_clip's tokenizer; names that are refused."""

import ftfy
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from mmovseg.vocabulary import Vocabulary
from mmovseg.vocabulary.names import check_names, name_key

# What cleaning and splitting treat in a special way.
PIECES = [
    *'abstz AZ09\'"-_.,&;#()!/:',
    *('  ', '&amp;', '&EACUTE;', '&eacute;', '&#39;', '&nbsp;', '&amp', "'ll", "'s"),
    *'éÉıİßςΣÅ½²Ⅷ一犬🐶❤Ж한',
    *('\ufb01', '\ufb05', '\u01c5', '\u0149', '\u017f', '\u212b', '\ufe0f', '\u0301'),
    *('\u2018', '\u201d', '\u02bc', '\uff41', '\uff22', '\uff11', '\uff01', '\u3000'),
    *('\u30ab', '\uff76', '\uff9e', '\u1112', '\u1161', '\u0915', '\u093c', '\xa0'),
]
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(''.join)
VARIANTS = [
    str.upper,
    str.title,
    lambda x: x.replace(' ', '  '),
    lambda x: x.replace(' ', '\xa0'),
    lambda x: x.replace('-', ' - '),
    lambda x: x.replace("'", '\u2019'),
    lambda x: x.replace("'", '&#39;'),
    lambda x: x.translate({i: i + 0xFEE0 for i in range(33, 127)}),
]


@pytest.fixture(scope='module')
def tokenizer():
    return SimpleTokenizer()


def accept(name):
    """Leave out what no vocabulary accepts, and ftfy's guesses at wrong encodings."""
    try:
        check_names((name,), 'class 1')
    except ValueError:
        return False
    return ftfy.fix_text(name) == ftfy.fix_text(name, fix_encoding=False)


@given(first=NAMES, second=NAMES)
@settings(max_examples=300, deadline=None)
def test_keys_are_equal_where_tokens_are(tokenizer, first, second):
    assume(accept(first) and accept(second))
    for one, other in ((first, second), (first, name_key(first))):
        same = tokenizer.encode(one) == tokenizer.encode(other)
        assert (name_key(one) == name_key(other)) is same


@given(
    name=st.sampled_from(Vocabulary.load('lvis_1203').all_names),
    change=st.sampled_from(VARIANTS),
)
@settings(max_examples=200, deadline=None)
def test_other_spellings_of_official_names(tokenizer, name, change):
    changed = change(name)
    assert name_key(changed) == name_key(name)
    assert tokenizer.encode(changed) == tokenizer.encode(name)


def test_entities_count_as_what_they_stand_for():
    assert name_key('Salt &amp; pepper') == name_key('salt & pepper')
    with pytest.raises(ValueError, match='which CLIP reads alike'):
        Vocabulary((('salt & pepper',), ('salt &amp; pepper',)), (True, True))


def test_keys_of_packaged_names_are_their_tokens(tokenizer):
    names = {x for v in Vocabulary.available() for x in Vocabulary.load(v).all_names}
    tokens = {tuple(tokenizer.encode(name)) for name in names}
    assert len(tokens) == len(set(map(name_key, names))) < len(names)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('dog\u200b', r"invisible character '\\u200b' in 'dog"),
        ('\ufeffdog', r"invisible character '\\ufeff'"),
        ('d\xadog', r"invisible character '\\xad'"),
        ('\u202edog', r"invisible character '\\u202e'"),
        ('dog\u200d', r"invisible character '\\u200d'"),
        ('\u3164', r"invisible character '\\u3164'"),
        ('dog<end_of_text>cat', "'<end_of_text>' .* markup"),
        ('dog&lt;end_of_text&gt;', "'<end_of_text>' .* markup"),
        ('<b>dog</b>', "'<b>' .* markup"),
        ('crÃ¨me', "another encoding; write 'crème'"),
        ('犬 Ã©tude', "write '犬 étude'"),
        ('.', 'neither a letter nor a digit'),
        ('---', 'neither a letter nor a digit'),
        ('&nbsp;', 'neither a letter nor a digit'),
        ('\u0301', 'neither a letter nor a digit'),
    ],
)
def test_names_that_cannot_be_meant_are_refused(name, message):
    with pytest.raises(ValueError, match=f'class 1: .*{message}'):
        Vocabulary(((name,),), (True,))


def test_names_of_all_scripts_are_accepted():
    names = (
        '犬',
        'собака',
        '\u0645\u06cc\u200c\u062e',
        '🐶',
        "dog's house",
        '9',
        'AT&T',
        'Å',
    )
    assert check_names(names, 'class 1') == names
