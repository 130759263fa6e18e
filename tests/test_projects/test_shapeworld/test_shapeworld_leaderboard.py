"""ShapeWorld's leaderboard: what is run of it, and the page that is made of cards."""

import itertools
import json
from pathlib import Path

import pytest
from golden_utils import ROOT

from mmovseg.vocabulary import Vocabulary
from projects.shapeworld import leaderboard
from projects.shapeworld.leaderboard import Board, RowRun
from projects.shapeworld.run_ablation import load

CARD = dict(
    model=dict(parameters=2_500_000),
    fps=dict(images_per_second=20.0),
    date='2026-01-01',
    git=None,
    hardware=dict(cpu='a'),
    versions=dict(torch='1'),
)


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """A lab whose tools write what the real ones would."""
    monkeypatch.delenv('MMOVSEG_DATA', raising=False)
    lab = Board(leaderboard.parse_args(['--size', 'tiny', '--work-dir', str(tmp_path)]))
    lab.calls = []

    def call(folder, name, *arguments):
        words = [str(word) for word in arguments]
        lab.calls.append((Path(name).stem, Path(words[0]).stem, words))
        if name.endswith('assemble_stages.py'):
            output, text = Path(words[1]), 'weights'
        elif name.endswith('train.py'):
            options = dict(word.split('=') for word in words if '=' in word)
            number = options['train_cfg.max_iters']
            output, text = folder / f'train/iter_{number}.pth', 'weights'
        else:
            exchanged = any('test_vocabulary' in word for word in words)
            value = 1.0 if exchanged else 40.0 + int(folder.name.split('_seed')[1][0])
            metrics = {'semantic/mIoU_unseen': value, 'semantic/mIoU': value}
            output = folder / 'test/results.json'
            text = json.dumps(dict(CARD, metrics=metrics))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)

    monkeypatch.setattr(lab, 'call', call)
    return lab


def test_every_row_has_a_config_with_the_same_pictures():
    for row in leaderboard.read_rows():
        cfg = load(leaderboard.find_config(row['Config']))
        loader = cfg.test_dataloader.dataset
        assert loader.ann_file == 'annotations/panoptic_val.json', row
        assert cfg.model.test_vocabulary == 'shapeworld', row
        assert cfg.model.train_vocabulary == 'shapeworld_seen', row


def test_stages_come_first_and_every_row_gets_its_control(tmp_path):
    runs = leaderboard.list_runs(['deop_tiny_shapeworld-zs'], 2, tmp_path / 'x.txt')
    names = [(run.config.split('_')[0], run.seed, bool(run.options)) for run in runs]
    assert len(names) == len(set(names)) == 8
    for seed in (0, 1):
        order = [names.index((x, seed, False)) for x in ('prompt', 'proposals', 'deop')]
        assert max(order[:2]) < order[2] < names.index(('deop', seed, True))


def test_a_stage_of_the_file_of_rows_is_trained_once_and_tested_by_its_rows(lab):
    rows = [row for row in leaderboard.read_rows() if 'Stages' in row]
    assert {row['Name'] for row in rows} == {'Training-free', 'Mask2Former (closed)'}
    configs = [leaderboard.find_config(row['Config']) for row in rows]
    [stage] = {leaderboard.find_config(x) for row in rows for x in row['Stages']}
    runs = leaderboard.list_runs(configs, 1, lab.folder / 'x.txt')
    assert runs[0][:2] == (stage, 0) and len(runs) == 5
    assert lab.run_all(runs) == []
    tools = [name for name, *_ in lab.calls]
    assert tools.count('train') == 1 and tools.count('assemble_stages') == 2
    assert tools.count('test') == 4  # both rows and their controls, not the stage
    trained = next(words for name, _, words in lab.calls if name == 'train')
    assert 'train_cfg.max_iters=250' in trained  # as many as EOV-Seg
    checkpoint = str(lab.checkpoint(runs[0]))
    assembled = [words for name, _, words in lab.calls if name == 'assemble_stages']
    assert all(words[-1] == checkpoint for words in assembled)


def test_minutes_are_those_of_the_processor_where_they_are_known(lab, monkeypatch):
    seconds = iter([10.0, 130.0, 200.0, 260.0])
    monkeypatch.setattr(leaderboard, 'count_seconds', lambda: next(seconds))
    run = RowRun('eovseg_tiny_shapeworld', 0)
    lab.run_all([run])
    assert lab.count_minutes(run) == 2.0
    # What was stopped and goes on adds up.
    (lab.path(run) / 'results.json').unlink()
    lab.checkpoint(run).unlink()
    lab.run_all([run])
    assert lab.count_minutes(run) == 3.0


def test_names_of_the_chart_do_not_overlap():
    cards = [
        dict(
            name=f'A method {index}',
            metrics={'semantic/mIoU_unseen': 0.0},
            parameters=1,
            ms_per_image=20.0,
            minutes=1,
        )
        for index in range(20)
    ]
    figure = leaderboard.plot(cards)
    figure.draw_without_rendering()
    [legend] = figure.legends
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    assert len(boxes) == 20
    for a, b in itertools.pairwise(boxes):
        assert not a.overlaps(b)
    for box in boxes:
        assert figure.bbox.fully_containsx(box.x1) and figure.bbox.fully_containsy(
            box.y0
        )
        assert not box.overlaps(figure.axes[0].get_window_extent())
    looks = {
        (x.lines[0].get_color(), x.lines[0].get_marker())
        for x in figure.axes[0].containers
    }
    assert len(looks) == 20


def test_exchanged_names_are_a_vocabulary_of_other_names(tmp_path):
    path = tmp_path / 'names.txt'
    leaderboard.write_exchanged_names(path)
    found, true = Vocabulary.load(path), Vocabulary.load('shapeworld')
    assert found.is_thing == true.is_thing
    assert sorted(found.synonyms) == sorted(true.synonyms)
    assert not any(a == b for a, b in zip(found.names, true.names, strict=True))


def test_cards_hold_means_over_seeds_and_the_control(lab, tmp_path):
    control = tmp_path / 'names.txt'
    config = 'deop_tiny_shapeworld-zs'
    assert lab.run_all(leaderboard.list_runs([config], 2, control)) == []
    cards = [
        leaderboard.make_card(lab, 'DeOP', config, seed, control) for seed in (0, 1)
    ]
    [row] = leaderboard.summarize(cards)
    unseen = row['columns']['mIoU unseen', 'quality']
    assert (unseen.mean, round(unseen.std, 3), unseen.count) == (40.5, 0.707, 2)
    assert row['columns']['mIoU', 'control'].mean == 1.0
    assert row['columns']['PQ seen', 'quality'] is None
    assert (row['seeds'], row['parameters'], row['ms']) == (2, 2_500_000, 50.0)
    page = leaderboard.render(cards)
    assert '"ms per image" of DeOP is that of a clock' in page
    timed = [card | dict(clock='processor', minutes=2.4) for card in cards]
    assert 'All trainings take 5 minutes' in leaderboard.render(timed)
    assert 'of a clock' not in leaderboard.render(timed)
    assert '| DeOP |' in page and '40.5 ± 0.7' in page and '2.5 M' in page
    # Nothing is run twice.
    count = len(lab.calls)
    lab.run_all(leaderboard.list_runs([config], 2, control))
    assert len(lab.calls) == count


def test_what_is_not_done_has_no_card(lab, tmp_path):
    args = (lab, 'EOV-Seg', 'eovseg_tiny_shapeworld', 0, tmp_path / 'x.txt')
    assert leaderboard.make_card(*args) == {}


def test_a_file_of_the_clone_is_a_config(lab):
    path = leaderboard.find_config('configs/deop/deop_tiny_shapeworld-zs.py')
    assert path == str(ROOT / 'configs/deop/deop_tiny_shapeworld-zs.py')
    assert lab.path(RowRun(path, 0)).name.startswith('deop_tiny_shapeworld-zs_seed0_')


@pytest.mark.parametrize(
    'words', [['--rows', 'EOVSeg'], ['--seeds', '0'], ['--iterations', '1']]
)
def test_wrong_options_are_named(words, capsys):
    with pytest.raises(SystemExit):
        leaderboard.parse_args(words)
    assert words[0].removesuffix('s') in capsys.readouterr().err


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ('- Name: Mine', 'a row has Name and Config'),
        (
            '- {Name: Mine, Configs: fcclip_tiny_shapeworld}',
            'a row has Name and Config',
        ),
        ('- {Name: Mine, Config: fcclip_tiny, Stages: b}', 'Stages of Mine must be'),
        ('- {Name: Mine, Config: a}\n- {Name: Mine, Config: b}', "two rows 'Mine'"),
        ('- Name: Mine\n Config: a', 'is no YAML'),
        ('- {Name: Mine, Config: zzz}', "'zzz' is neither a file nor .*configs has"),
    ],
)
def test_wrong_rows_are_named(rows, message, monkeypatch, tmp_path):
    path = tmp_path / 'rows.yml'
    path.write_text(f'Rows:\n{rows}\n')
    monkeypatch.setattr(leaderboard, 'ROWS', path)
    with pytest.raises(SystemExit, match=message):
        leaderboard.main(['--rows', 'Mine', '--work-dir', str(tmp_path)])
    assert not (tmp_path / 'small/data').exists()


def test_the_page_of_the_clone_is_made_of_its_cards():
    cards = leaderboard.load_cards(leaderboard.CARDS)
    if cards:
        assert leaderboard.PAGE.read_text() == leaderboard.render(cards)
