import pytest

from mmovseg.datasets.validation import Findings, ImageFindings, Summary


def test_images_are_summed_up():
    summary = Summary('val', ['sky', 'dog'], is_thing=[False, True], num_images=2)
    first = ImageFindings(pixels={0: 4, 1: 6}, segments={0: 1, 1: 2}, ignored={0: 10})
    first.problem('ids', 'a')
    summary.add_image(first)
    summary.add_image(ImageFindings(pixels={1: 20}, segments={1: 1}))
    assert summary.pixels.tolist() == [4, 26]
    assert summary.segments.tolist() == [1, 3]
    assert summary.images.tolist() == [1, 2]
    header, sky, dog, void = summary.histogram()
    assert header.split() == ['class', 'images', 'segments', 'pixels', 'share']
    assert sky.split() == ['0', 'sky', 'stuff', '1', '1', '4', '10.00%']
    assert dog.split() == ['1', 'dog', 'thing', '2', '3', '26', '65.00%']
    assert void.split() == ['(value', '0:', 'no', 'class)', '10', '25.00%']
    assert summary.num_problems == 1
    content = summary.as_dict()
    assert content['problems'] == {'ids': ['a']}
    assert content['classes'][1]['pixels'] == 26
    assert content['ignored'] == {'0': 10}


def test_long_histograms_leave_out_what_is_absent():
    summary = Summary('x', [str(i) for i in range(51)], is_thing=None, num_images=1)
    summary.add_image(ImageFindings(pixels={7: 1}))
    assert len(summary.histogram()) == 2


@pytest.mark.parametrize(('num_images', 'noted'), [(1, True), (2, False)])
def test_absent_classes_are_noted_when_all_images_were_read(num_images, noted):
    summary = Summary('x', ['a', 'b'], is_thing=None, num_images=num_images)
    summary.add_image(ImageFindings(pixels={0: 1}))
    summary.finish()
    assert bool(summary.notes) == noted
    if noted:
        assert summary.notes == {'use': ['1 of 2 classes are in no image: b']}
    summary = Summary('x', ['a', 'b'], is_thing=None, num_images=1)
    summary.add_image(ImageFindings())
    summary.problem('file', 'missing')
    summary.finish()
    assert not summary.notes


def test_lists_are_cut():
    summary = Summary('x', ['a'], is_thing=None, num_images=1)
    for number in range(5):
        summary.problem('size', f'file {number}')
    summary.note('use', 'empty')
    lines = summary.problem_lines(limit=2)
    assert lines[1:4] == ['  file 0', '  file 1', '  ... and 3 more']
    assert lines[0].startswith('PROBLEM') and lines[0].endswith('(5)')
    assert lines[4].startswith('note')


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match='sizes'):
        Findings().problem('sizes', 'x')


def test_names_of_files_and_classes_do_not_move_the_terminal():
    name = 'dog\x1b[2J'
    summary = Summary('val', [name], is_thing=[True], num_images=1)
    summary.problem('file', 'a\x1b]0;title\x07.png is missing')
    summary.finish()
    text = '\n'.join([*summary.histogram(), *summary.problem_lines()])
    assert r'dog\x1b[2J' in text and r'a\x1b]0;title\x07.png' in text
    assert all(line.isprintable() for line in text.split('\n'))
    assert summary.as_dict()['classes'][0]['name'] == name
