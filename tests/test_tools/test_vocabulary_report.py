"""What the tool prints, with the tiny tower."""

import runpy
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'vocabulary_report.py'


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['vocabulary_report.py', *arguments])
        runpy.run_path(str(TOOL))['main']()
        return capsys.readouterr().out

    return run


def test_names_of_packaged_lists(run):
    text = run('coco_panoptic', 'ade20k_150', '--no-similarity')
    assert (
        'Seen in A: 64 of 150 classes of B (44 of 100 things, 20 of 50 stuff)' in text
    )
    assert '(86 in all)' in text and 'Text tower' not in text
    text = run('coco_panoptic', 'ade20k_847', '--no-similarity', '--top', '3')
    assert 'Names of B that several classes share: 45' in text
    assert '... and 42 more' in text


def test_similarities_of_own_classes(run):
    text = run(
        'dog; puppy, stuff: sea-side', 'puppy, cat; kitten, Sea side', '--top', '2'
    )
    assert 'Seen in A: 1 of 3 classes of B' in text
    assert "Unseen for their spelling only (B / A): 'Sea side' / 'sea-side'" in text
    assert "pretrained 'shapeworld'" in text
    similar, closest = text.split('(cosine)\n')[1].split('\n\n')
    assert len(similar.splitlines()) == 2
    assert len(closest.strip().splitlines()) == 3  # a title, and two unseen classes


def test_all_seen(run):
    text = run('dog, cat', 'cat, dog')
    assert 'Seen in A: 2 of 2' in text and 'closest' not in text


def test_unknown_vocabulary_is_named(run):
    with pytest.raises(SystemExit, match="'coco_panoptic'"):
        run('coco_panotic', 'ade20k_150')
