"""The tool on run cards of one's own."""

import json
import runpy
import sys
from pathlib import Path

import pytest

TOOL = str(Path(__file__).resolve().parents[2] / 'tools' / 'leaderboard.py')


@pytest.fixture
def run(monkeypatch):
    def run(*options):
        monkeypatch.setattr(sys, 'argv', ['leaderboard.py', *map(str, options)])
        runpy.run_path(TOOL)['main']()

    return run


def test_logs_beside_run_cards_are_passed_over(run, tmp_path):
    log = tmp_path / 'work_dirs' / '20260101_000000' / '20260101_000000.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({'panoptic/PQ': 1.0}))
    run('--cards', tmp_path / 'work_dirs', '--out', tmp_path / 'new' / 'page.md')
    assert 'None yet.' in (tmp_path / 'new' / 'page.md').read_text()


def test_everything_in_the_folder_of_results_must_be_a_card(run, tmp_path, monkeypatch):
    (tmp_path / 'results/papers').mkdir(parents=True)
    (tmp_path / 'results/papers/x.json').write_text('{}')
    main = runpy.run_path(TOOL)['main']
    monkeypatch.setitem(main.__globals__, 'ROOT', tmp_path)
    monkeypatch.setattr(sys, 'argv', ['leaderboard.py'])
    with pytest.raises(SystemExit, match='no run card'):
        main()


def test_an_old_page_is_told(run, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('old')
    with pytest.raises(SystemExit, match='not up to date'):
        run('--check', '--out', page)
    assert page.read_text() == 'old'
