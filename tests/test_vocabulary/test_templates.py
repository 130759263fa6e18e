import json

import pytest

from mmovseg.vocabulary import get_templates


def test_packaged_sets():
    assert len(get_templates('vild')) == 14
    assert get_templates('vild')[0] == 'a photo of a {}.'
    assert sum(not template.endswith('.') for template in get_templates('vild')) == 4
    assert get_templates('simple') == ('a photo of a {}.',)
    assert get_templates('plain') == ('{}',)


def test_vild_equals_the_reference(shared):
    reference = json.loads((shared / 'golden/eovseg_vocab.json').read_text())
    assert list(get_templates('vild')) == reference['prompt_templates']


def test_own_templates():
    assert get_templates(['a {}', '{} here']) == ('a {}', '{} here')


@pytest.mark.parametrize(
    ('templates', 'message'),
    [
        ('vlid', r"'vlid'; packaged are \['plain', 'simple', 'vild'\]"),
        ([], 'At least one'),
        (['a {}', 'a photo'], "once, got 'a photo'"),
        (['a {} and {}'], "once, got 'a {} and {}'"),
        ([3], 'once, got 3'),
    ],
)
def test_bad_templates_are_refused(templates, message):
    with pytest.raises(ValueError, match=message):
        get_templates(templates)
