import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import yaml

from mmovseg.analysis.leaderboard import (
    VALIDATION_IMAGES,
    Leaderboard,
    count_validation_images,
    list_configs,
    load_cards,
    read_metafile,
)
from mmovseg.analysis.run_card import hash_config
from mmovseg.apis.config import load_config

ROOT = Path(__file__).resolve().parents[2]
METAFILE = """
Collections:
  - {Name: EOV-Seg, Paper: {Title: A paper, URL: 'https://example.org'}}
Models: []
Tables:
  - Table: 1
    Title: Everything
    Text: [Method]
    Columns:
      - {Name: A PQ, Metric: panoptic/PQ, Of: A}
      - {Name: AP, Metric: instance/segm_mAP, Scale: 100, Of: A}
      - {Name: FPS, Metric: fps, Of: A}
      - {Name: B mIoU, Metric: semantic/mIoU, Of: B}
      - {Name: Params, Metric: parameters, Of: B}
      - {Name: FLOPs}
    Rows:
      - Text: [Theirs]
        Paper: [1.0, null, 2.25, 3.0, 10M, 5G]
      - Text: [Ours]
        Paper: [4.0, 5.5, 6.0, null, 20M, 6G]
        Config: {A: eovseg_r50_zs-ade20k, B: eovseg_r50_coco}
  - Table: 2
    Title: Options
    Text: [Size, Thr]
    Columns:
      - {Name: 'R{}', Metric: 'masks/recall_{}', Scale: 0.01}
    Rows:
      - Text: [640, 1]
        Paper: [0.59]
        Config: eovseg_r50_zs-ade20k
        Fill: 30
      - Text: [800, null]
        Paper: [0.4]
        Config: eovseg_r50_zs-ade20k
        Options: {test_dataloader.dataset.pipeline.1.scale: [1333, 800]}
        Fill: 50
  - Table: 3
    Title: Options of a column
    Text: [Alpha]
    Columns:
      - {Name: A, Metric: panoptic/PQ, Of: A, Options: {model.ensemble.beta: 0.3}}
      - {Name: B, Metric: panoptic/PQ, Of: B}
    Rows:
      - Text: [0.5]
        Paper: [1.5, 2.5]
        Config: {A: eovseg_r50_zs-ade20k, B: eovseg_r50_zs-ade20k}
        Options: {model.ensemble.alpha: 0.5}
"""


def write_card(
    folder,
    name,
    config,
    options=None,
    date='2026-01-01',
    images=2000,
    fast=(),
    **metrics,
):
    card = dict(
        format=1,
        date=date,
        metrics={key.replace('__', '/'): value for key, value in metrics.items()},
        images=images,
        fps=dict(
            images_per_second=11.5678,
            batch_size=1,
            dtype='float32',
            device='cuda',
            fast=list(fast),
        ),
        config=dict(
            name=config,
            options=options or {},
            sha256=hash_config(load_config(config, options)),
        ),
        model=dict(parameters=71_400_000),
        hardware=dict(gpus=['G'], cpu='C', processes=4),
        git=dict(commit='0123456789abcdef', dirty=True),
    )
    folder.mkdir(exist_ok=True)
    (folder / f'{name}.json').write_text(json.dumps(card))
    return card


def render(tmp_path, show_empty=True):
    folder = tmp_path / 'configs' / 'eovseg'
    folder.mkdir(parents=True, exist_ok=True)
    metafile, tables = METAFILE.split('Tables:')
    (folder / 'metafile.yml').write_text(metafile)
    (folder / 'published.yml').write_text('Tables:' + tables)
    cards = load_cards(tmp_path / 'cards')
    board = Leaderboard(tmp_path / 'configs', cards, show_empty=show_empty)
    return board.render()


def test_paper_and_ours_stand_in_separate_columns(tmp_path):
    empty = render(tmp_path)
    assert '| Theirs | 1.0 |  | - |  | 2.25 |  | 3.0 |  | 10M |  | 5G |' in empty
    assert '| Ours | 4.0 |  | 5.5 |  | 6.0 |  | - |  | 20M |  | 6G |' in empty
    assert 'None yet.' in empty
    assert '- Ours: `eovseg_r50_zs-ade20k`, `eovseg_r50_coco`' in empty
    options = "`--cfg-options 'test_dataloader.dataset.pipeline.1.scale=(1333,800)'`"
    assert f'- 800, -: `eovseg_r50_zs-ade20k` with {options}' in empty

    numbers = {'panoptic__PQ': 4.04, 'instance__segm_mAP': 0.056, 'masks__recall_30': 7}
    write_card(tmp_path / 'cards', 'a', 'eovseg_r50_zs-ade20k', **numbers)
    page = render(tmp_path)
    # FPS has two decimals in the column of the paper.
    row = '| Ours | 4.0 | 4.0 [1] | 5.5 | 5.6 [1] | 6.0 | 11.57 [1] | - |  | 20M |  |'
    assert row in page
    assert '| 640 | 1 | 0.59 | 0.07 [1] |' in page
    assert '| 800 | - | 0.4 |  |' in page
    run = '| [1] | `a.json` | `eovseg_r50_zs-ade20k` | 2000 | PQ 4.0, AP 5.6 | 11.57 |'
    assert f'{run} 4 × G, batch 1, float32 | `0123456789` with changes |' in page


def test_columns_of_ours_without_a_number_are_left_out(tmp_path):
    empty = render(tmp_path, show_empty=False)
    assert '*ours* |' not in empty
    assert '| Method | A PQ | AP | FPS | B mIoU | Params | FLOPs |' in empty
    assert '| Theirs | 1.0 | - | 2.25 | 3.0 | 10M | 5G |' in empty
    assert '`tools/leaderboard.py --all` shows' in empty

    write_card(tmp_path / 'cards', 'a', 'eovseg_r50_zs-ade20k', panoptic__PQ=4.04)
    page = render(tmp_path, show_empty=False)
    columns = '| Method | A PQ | *ours* | AP | FPS | *ours* | B mIoU | Params | FLOPs |'
    assert columns in page
    assert '| --- | --: | --: | --: | --: | --: | --: | --: | --: |' in page
    # The other rows of a column that is shown are empty.
    assert '| Theirs | 1.0 |  | - | 2.25 |  | 3.0 | 10M | 5G |' in page
    assert '| Ours | 4.0 | 4.0 [1] | 5.5 | 6.0 | 11.57 [1] | - | 20M | 6G |' in page
    assert '| 640 | 1 | 0.59 |' in page and '| 640 | 1 | 0.59 |  |' not in page
    assert '| 640 | 1 | 0.59 |  |' in render(tmp_path)


def test_the_tool_shows_all_columns_when_asked(tmp_path, monkeypatch):
    out = tmp_path / 'page.md'
    tool = runpy.run_path(str(ROOT / 'tools' / 'leaderboard.py'))
    for options, shown in ([], False), (['--all'], True):
        argv = ['leaderboard.py', '--cards', str(tmp_path), '--out', str(out), *options]
        monkeypatch.setattr(sys, 'argv', argv)
        tool['main']()
        assert ('*ours* |' in out.read_text(encoding='utf-8')) is shown
    monkeypatch.setattr(sys, 'argv', [*argv[:-1], '--check'])
    with pytest.raises(SystemExit, match='not up to date'):
        tool['main']()


def test_the_fast_mode_is_named(tmp_path):
    parts = ['bf16', 'resize']
    write_card(tmp_path / 'cards', 'a', 'eovseg_r50_zs-ade20k', fast=parts)
    page = render(tmp_path)
    assert '4 × G, batch 1, float32, fast mode (bf16, resize) |' in page
    assert 'no table: in the fast mode' in page
    exact = dict(masks__recall_30=10)
    write_card(tmp_path / 'cards', 'b', 'eovseg_r50_zs-ade20k', **exact)
    fast = dict(masks__recall_30=20, fast=parts)
    write_card(tmp_path / 'cards', 'c', 'eovseg_r50_zs-ade20k', **fast)
    assert '| 640 | 1 | 0.59 | 0.10 [2] |' in render(tmp_path)


def test_cards_of_other_options_are_not_mixed_up(tmp_path):
    scale = {'test_dataloader.dataset.pipeline.1.scale': (1333, 800)}
    workers = {'test_dataloader.num_workers': 0}
    config, cards = 'eovseg_r50_zs-ade20k', tmp_path / 'cards'
    write_card(cards, 'a', config, scale, masks__recall_30=10, masks__recall_50=20)
    write_card(cards, 'b', config, workers, masks__recall_30=30, masks__recall_50=40)
    write_card(cards, 'c', config, {'model.fusion.iou_thr': 0.5}, masks__recall_30=50)
    write_card(cards, 'd', 'eovseg_r50_coco', images=5000, semantic__mIoU=None)
    page = render(tmp_path)
    assert '| 640 | 1 | 0.59 | 0.30 [2] |' in page
    assert '| 800 | - | 0.4 | 0.20 [1] |' in page
    assert '| [3] (no table) | `c.json` |' in page
    assert '| - |  | 20M | 71M [4] | 6G |' in page


def test_options_of_a_column_join_those_of_the_row(tmp_path):
    config, cards = 'eovseg_r50_zs-ade20k', tmp_path / 'cards'
    row, both = {'model.ensemble.alpha': 0.5}, {'model.ensemble.beta': 0.3}
    write_card(cards, 'a', config, row, panoptic__PQ=7.0)
    write_card(cards, 'b', config, {**row, **both}, panoptic__PQ=6.0)
    write_card(cards, 'c', config, both, panoptic__PQ=5.0)
    page = render(tmp_path)
    assert '| 0.5 | 1.5 | 6.0 [2] | 2.5 | 7.0 [1] |' in page
    first = f'`{config}` with `--cfg-options model.ensemble.beta=0.3'
    second = f'`{config}` with `--cfg-options model.ensemble.alpha=0.5`'
    assert f'- 0.5: {first} model.ensemble.alpha=0.5`; {second}' in page
    listed = list(list_configs(yaml.safe_load(METAFILE)))
    assert listed[-2:] == [(config, {**both, **row}), (config, row)]


def test_the_latest_card_counts(tmp_path):
    config, cards = 'eovseg_r50_zs-ade20k', tmp_path / 'cards'
    write_card(cards, 'a', config, date='2026-02-02', panoptic__PQ=2.0)
    write_card(cards, 'b', config, date='2026-01-31', panoptic__PQ=3.0)
    assert '| Ours | 4.0 | 2.0 [1] |' in render(tmp_path)


def test_a_changed_config_invalidates_its_cards(tmp_path):
    config, cards = 'eovseg_r50_zs-ade20k', tmp_path / 'cards'
    card = write_card(cards, 'a', config, panoptic__PQ=2.0)
    card['config']['sha256'] = '0' * 64
    (cards / 'a.json').write_text(json.dumps(card))
    page = render(tmp_path)
    assert '| Ours | 4.0 |  |' in page and '[1] (no table)' in page


def test_a_run_of_a_part_of_the_images_fills_no_row(tmp_path):
    config, cards = 'eovseg_r50_zs-ade20k', tmp_path / 'cards'
    write_card(cards, 'a', config, panoptic__PQ=2.0)
    write_card(cards, 'b', config, date='2026-02-02', images=3, panoptic__PQ=99.0)
    page = render(tmp_path)
    assert '| Ours | 4.0 | 2.0 [1] |' in page
    assert '| [2] (no table: 3 of 2000 images) | `b.json` |' in page
    (cards / 'a.json').unlink()
    page = render(tmp_path)
    assert '| Ours | 4.0 |  |' in page
    assert '| [1] (no table: 3 of 2000 images) | `b.json` |' in page


@pytest.mark.slow
def test_the_number_of_images_of_every_row_is_known():
    configs = {
        name
        for metafile in read_metafiles().values()
        for name, _ in list_configs(metafile)
    }
    counts = {name: count_validation_images(load_config(name)) for name in configs}
    assert set(counts.values()) == set(VALIDATION_IMAGES.values())
    assert counts['eovseg_r50_zs-context-459'] == 5105
    assert counts['deop_vit-b16_voc-15'] == 1449


def test_other_files_among_the_cards_are_refused(tmp_path):
    (tmp_path / 'x.json').write_text('{}')
    with pytest.raises(ValueError, match=r'x\.json is no run card'):
        load_cards(tmp_path)


def test_a_work_folder_may_hold_other_files(tmp_path):
    """As MMEngine writes them: a dump of the metrics, and lines of a log."""
    work, log = tmp_path / 'run', tmp_path / 'run' / '20260101_000000'
    write_card(work, 'results', 'eovseg_r50_coco')
    write_card(work, 'copy', 'eovseg_r50_coco')
    (log / 'vis_data').mkdir(parents=True)
    (log / '20260101_000000.json').write_text('{"panoptic/PQ": 1.0}')
    (log / 'vis_data' / 'scalars.json').write_text('{"a": 1}\n{"a": 2}\n')
    cards = load_cards(tmp_path, strict=False)
    assert [card.file for card in cards] == ['run/copy.json', 'run/results.json']
    assert [card.number for card in cards] == [1, 2]
    (log / 'results.json').write_text('{}')
    with pytest.raises(ValueError, match=r'results\.json is no run card'):
        load_cards(tmp_path, strict=False)


def read_metafiles():
    return {
        path.parent.name: read_metafile(path)
        for path in ROOT.glob('configs/*/metafile.yml')
    }


def test_all_tables_are_there():
    tables = {
        name: [table['Table'] for table in metafile['Tables']]
        for name, metafile in read_metafiles().items()
        if metafile['Tables']
    }
    assert tables == {
        'deop': [1, 2, 3, 4, 5, 6, 8],
        'eovseg': list(range(1, 11)),
        'fcclip': ['Model zoo'],
    }
    for metafile in read_metafiles().values():
        for table in metafile['Tables']:
            for row in table['Rows']:
                assert len(row['Text']) == len(table['Text']), row
                assert len(row['Paper']) == len(table['Columns']), row
                config = row.get('Config', {})
                sets = {column.get('Of') for column in table['Columns']}
                assert (set(config) if isinstance(config, dict) else {None}) <= sets


@pytest.mark.slow
def test_every_row_of_ours_is_a_config_of_its_own():
    hashes = {}
    for metafile in read_metafiles().values():
        for model in metafile['Models']:
            assert (ROOT / model['Config']).is_file(), model
        for name, options in list_configs(metafile):
            key = name, json.dumps(options, sort_keys=True)
            if key not in hashes:
                hashes[key] = name, hash_config(load_config(name, options))
    assert len(set(hashes.values())) == len(hashes)


@pytest.mark.parametrize('paper', ['deop', 'eovseg'])
def test_numbers_are_those_of_the_paper(shared, paper):
    """Every row, blanks and rules removed, stands in the text, in the same order."""
    text = (shared / 'papers' / f'{paper}.txt').read_text(encoding='utf-8')
    text = re.sub(r'[\s|]', '', text)
    for table in read_metafiles()[paper]['Tables']:
        place = 0
        for row in table['Rows']:
            line = ''.join('-' if x is None else str(x) for x in row['Paper'])
            place = text.find(line, place)
            assert place >= 0, (table['Table'], row)
            place += len(line)


def test_the_page_is_up_to_date():
    page = Leaderboard(ROOT / 'configs', load_cards(ROOT / 'results/papers')).render()
    committed = (ROOT / 'docs' / 'leaderboard.md').read_text(encoding='utf-8')
    assert page == committed, 'run tools/leaderboard.py'
