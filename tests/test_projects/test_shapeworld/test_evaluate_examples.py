import pytest

from projects.shapeworld.evaluate_examples import parse_args


@pytest.mark.parametrize('count', ['0', '-3'])
def test_no_images(count, capsys):
    with pytest.raises(SystemExit):
        parse_args(['a', 'b', '--num-images', count])
    message = f'--num-images must be at least 1, got {count}.'
    assert message in capsys.readouterr().err
