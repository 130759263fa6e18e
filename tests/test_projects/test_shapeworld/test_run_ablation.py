"""The ablations: their tables, what is run of them, and what is said of the results."""

import copy
import importlib
import json
import shutil
import sys
import types
from pathlib import Path

import pytest
import state_names
import yaml
from golden_utils import ROOT, load_module
from test_configs import made_small

from mmovseg.apis import load_config
from mmovseg.registry import MODELS

TINY = {'prompt_tiny_shapeworld-zs', 'proposals_tiny_shapeworld-zs'}


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.run_ablation')


@pytest.fixture(scope='module')
def report(tool):
    return sys.modules['projects.shapeworld.ablation_report']


@pytest.fixture
def lab(tool, monkeypatch, tmp_path):
    """A lab whose tools write what the real ones would, and note that they ran."""
    monkeypatch.delenv('MMOVSEG_DATA', raising=False)
    lab = tool.Lab(tool.parse_args(['all', '--work-dir', str(tmp_path)]))
    lab.calls, lab.broken = [], set()

    def call(folder, name, *arguments):
        words = [str(word) for word in arguments]
        config = name_of(words[0])
        lab.calls.append((Path(name).stem, config, words))
        if config in lab.broken:
            raise RuntimeError(f'{name} ended with 1')
        if name.endswith('assemble_stages.py'):
            output, text = Path(words[1]), 'weights'
        elif name.endswith('train.py'):
            options = dict(word.split('=') for word in words if '=' in word)
            number = options['train_cfg.max_iters']
            output, text = folder / f'train/iter_{number}.pth', 'weights'
        else:
            assert Path(words[1]).is_file()
            metrics = {'semantic/hIoU': 5.0, 'panoptic/PQ': 7.0, 'instance/segm_mAP': 1}
            output = folder / 'test/results.json'
            text = json.dumps(dict(metrics=metrics))
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)

    monkeypatch.setattr(lab, 'call', call)
    return lab


def name_of(path):
    """Return the name of a config, or of the variant that a file was written for."""
    text = Path(path).read_text(encoding='utf-8')
    return text.split()[1] if text.startswith('"""Variant ') else Path(path).stem


def test_the_file_of_a_variant_is_the_variant(tool, lab):
    for name in ('deop-conv', 'eovseg-none-no-vas', 'eovseg-ca-multi'):
        path = lab.config(tool.Run(name, 0))
        assert load_config(path).model == tool.load(name).model
        assert name_of(path) == name


def print_of_papers():
    """Return rows of the papers' tables as the leaderboard has them."""
    found = {}
    for paper in ('deop', 'eovseg'):
        text = (ROOT / f'configs/{paper}/published.yml').read_text(encoding='utf-8')
        for table in yaml.safe_load(text)['Tables']:
            found[f'{paper}-{table["Table"]}'] = table
    return found


def test_figures_of_papers_are_those_of_the_metafiles(tool):
    printed = print_of_papers()
    # Table 7 is in the supplement, and two have rows of others.
    ours = {'eovseg-4-vas1', 'eovseg-5-long'}
    assert set(tool.TABLES) - set(printed) == {'deop-7'} | ours
    for name, table in tool.TABLES.items():
        assert table['Order'] in table['Paper']
        if name in ('deop-7', *ours, 'eovseg-10'):
            continue
        columns = [
            column['Name'].removeprefix('COCO-Stuff ').lower()
            for column in printed[name]['Columns']
        ]
        places = [columns.index(title.lower()) for title in table['Paper']]
        rows = printed[name]['Rows']
        rows = rows[6:] if name == 'eovseg-3' else rows  # extractors other than CLIP
        expected = [[row['Paper'][place] for place in places] for row in rows]
        assert [row['Paper'] for row in table['Rows']] == expected, name


def test_a_table_with_another_selection_has_the_rows_of_the_papers(tool):
    *rows, last = tool.TABLES['eovseg-4-vas1']['Rows']
    named = [(row['Label'], row['Paper']) for row in tool.TABLES['eovseg-4']['Rows']]
    assert [(row['Label'], row['Paper']) for row in rows] == named
    [single] = [
        row for row in tool.TABLES['eovseg-5']['Rows'] if row['Label'] in last['Label']
    ]
    assert last['Paper'] == single['Paper']
    for row in (*rows, last):
        neck = tool.load(row['Config']).model.neck
        begins = neck.type == 'LengthNormalizedVASNeck' and neck.num_names == 1
        assert begins == ('VAS' in row['Label'])


def test_ensembles_are_those_of_the_metafile(tool):
    ours = {
        tuple(row['Options'].values()): row['Paper']
        for row in tool.TABLES['eovseg-10']['Rows']
    }
    rows = print_of_papers()['eovseg-10']['Rows']
    expected = {
        (f'{kind}Ensemble', *row['Text']): [row['Paper'][number]]
        for number, kind in enumerate(('Arithmetic', 'Geometric'))
        for row in rows
    }
    assert ours == expected


def test_table_7_of_deop_is_as_tables_3(tool):
    first, *_, last = tool.TABLES['deop-7']['Rows']
    rows = tool.TABLES['deop-3']['Rows'][:2]
    for one, other in zip((first, last), rows, strict=True):
        assert one['Config'] == other['Config']
        assert one['Paper'] == other['Paper']


def test_every_config_is_in_a_table_and_every_row_has_one(tool):
    used = {row['Config'] for table in tool.TABLES.values() for row in table['Rows']}
    own = {path.stem for path in (ROOT / 'projects/shapeworld/configs').glob('*.py')}
    assert own <= used | {x['Config'] for x in tool.VARIANTS.values()}
    assert set(tool.VARIANTS) <= used
    for name in used:
        tool.load(name)


def merged(tool, row):
    config = copy.deepcopy(tool.load(row['Config']))
    config.merge_from_dict(row.get('Options', {}))
    return config


def test_rows_of_a_table_differ_in_model_or_in_training(tool):
    for name, table in tool.TABLES.items():
        models = [
            (str(config.model), 'train_cfg' in config)
            for row in table['Rows']
            for config in [merged(tool, row)]
        ]
        assert len(set(models)) == len(models), name


def test_variants_differ_from_the_full_models_where_they_say_so(tool):
    """The baseline is a file of its own: what it shares with DeOP must stay alike."""
    for name in {row['Config'] for x in tool.TABLES.values() for row in x['Rows']}:
        deop = name.startswith('deop')
        full = 'deop_tiny_shapeworld-zs' if deop else 'eovseg_tiny_shapeworld'
        model, full = (copy.deepcopy(tool.load(x).model) for x in (name, full))
        prompts = [x.backbone.pop('visual_prompt', None) for x in (model, full)]
        if prompts[0] is not None:
            assert prompts[0].blocks == prompts[1].blocks
        for one in (model, full):
            one.backbone.pop('severance', None)
            one.text_classifier.get('prompt_learner', {}).pop('frozen', None)
        varied = {'head'} if deop else {'spatial_backbone', 'neck', 'decoder'}
        for part in set(full) - varied:
            assert model[part] == full[part], (name, part)


@pytest.mark.slow
def test_weights_of_variants_are_those_of_the_files_they_were(tool):
    for name in tool.VARIANTS:
        model = MODELS.build(made_small(copy.deepcopy(tool.load(name).model)))
        state_names.check(model, name)


def test_sizes_are_those_of_the_drawing_tool(tool):
    drawing = load_module(ROOT / 'tools/dataset_converters/make_shapeworld.py')
    for name in ('small', 'full'):
        assert tool.SIZES[name][:3] == drawing.SIZES[name]


def test_shared_runs_are_listed_once_and_after_their_stages(tool):
    runs = tool.list_runs(list(tool.TABLES), 2)
    assert len(set(runs)) == len(runs)
    for index, run in enumerate(runs):
        assert set(run.parents) <= set(runs[:index])
    assert sum(run.config == 'deop_tiny_shapeworld-zs' for run in runs) == 2
    full = [run for run in runs if run.config == 'eovseg_tiny_shapeworld']
    assert len(full) == 2 * (1 + 14) + 1
    assert {run.config for run in runs if run.depth == 0 and 'zs' in run.config} == {
        'prompt_tiny_shapeworld-zs'
    }


def test_stages_are_trained_once_and_rows_start_from_them(tool, lab):
    runs = tool.list_runs(['deop-3', 'deop-5'], 1)
    assert lab.run_all(runs) == []
    trained = [config for name, config, _ in lab.calls if name == 'train']
    assert len(trained) == len(set(trained))
    words = next(x for _, config, x in lab.calls if config == 'deop_tiny_shapeworld-zs')
    parents = words[words.index('--init-from') + 1 :][:2]
    assert ['prompt_tiny' in parents[0], 'proposals_tiny' in parents[1]] == [True] * 2
    kinds = [x for x, y, _ in lab.calls if y == 'deop-baseline_tiny_shapeworld-zs']
    assert kinds == ['assemble_stages', 'test']
    tested = {config for name, config, _ in lab.calls if name == 'test'}
    assert not tested & TINY


def test_what_is_done_is_not_run_again(tool, lab):
    runs = tool.list_runs(['deop-4'], 1)
    lab.run_all(runs)
    lab.calls.clear()
    assert lab.run_all(runs) == []
    assert lab.calls == []


def test_a_run_that_was_trained_is_only_tested(tool, lab):
    run = tool.Run('eovseg_tiny_shapeworld', 0)
    lab.run_all([run])
    (lab.path(run) / 'results.json').unlink()
    lab.calls.clear()
    lab.run_all([run])
    assert [name for name, *_ in lab.calls] == ['test']


def test_seconds_of_a_training_add_up_over_its_starts(tool, lab, monkeypatch):
    clock = iter([100.0, 107.0, 200.0, 230.0, 300.0, 301.0, 400.0, 402.0])
    timer = types.SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr(tool, 'time', timer)
    run = tool.Run('eovseg_tiny_shapeworld', 0)
    lab.broken = {run.config}
    assert len(lab.run_all([run])) == 1  # stopped after 7 seconds
    lab.broken = set()
    lab.run_all([run])  # 30 seconds, and 1 of evaluation
    results = lab.path(run) / 'results.json'
    assert json.loads(results.read_text())['seconds'] == dict(train=37.0, test=1.0)
    results.unlink()
    lab.run_all([run])  # evaluated once more
    assert json.loads(results.read_text())['seconds'] == dict(train=37.0, test=2.0)


def test_published_results_are_not_run_again(tool, lab, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, 'CARDS', tmp_path / 'cards')
    lab.cards = tmp_path / 'cards'
    runs = tool.list_runs(['eovseg-10'], 1)
    lab.run_all(runs)
    lab.publish(runs)
    measured = tool.measure(lab, 'eovseg-10', 1)
    shutil.rmtree(lab.folder)
    assert lab.find_missing(runs) == []
    assert tool.measure(lab, 'eovseg-10', 1) == measured
    # One is lost: what it starts from is trained again, and nothing else.
    lost = next(run for run in runs if run.options)
    lab.find_results(lost).unlink()
    assert lab.find_missing(runs) == [lost._replace(options=()), lost]
    lab.calls.clear()
    assert lab.run_all(runs) == []
    assert [name for name, *_ in lab.calls] == ['train', 'test']
    lab.cards = None
    assert len(lab.find_missing(runs)) > 2


def test_a_table_chooses_the_clip_of_all_its_stages(tool, lab):
    runs = tool.list_runs(['deop-3', 'eovseg-3'], 1)
    deop = [run for run in runs if 'eovseg' not in run.config]
    assert {run.clip for run in deop} == {'tiny-vit-whole'}
    assert {run.clip for run in runs if run not in deop} == {tool.VIT}
    for run in deop:
        text = str(run.loaded.model)
        assert "'tiny-vit-whole'" in text and "'tiny-vit'" not in text
        written = load_config(lab.config(run))
        for part in ('model', 'train_dataloader'):
            assert written.get(part) == run.loaded.get(part)
        assert lab.key(run) != lab.key(run._replace(clip=tool.VIT))
    sizes = {
        step.size
        for clip in ('tiny-vit', 'tiny-vit-whole')
        for step in tool.load(
            'prompt_tiny_shapeworld-zs', clip
        ).train_dataloader.dataset.pipeline
        if step.type == 'CropClass'
    }
    assert sizes == {64, 96}


def test_a_table_chooses_its_iterations_and_seeds(tool, lab):
    long = tool.list_runs(['eovseg-5-long'], 3)
    assert {(run.seed, run.iterations) for run in long} == {(0, 6000)}
    tables = tool.TABLES
    assert all(
        row in tables['eovseg-5']['Rows'] for row in tables['eovseg-5-long']['Rows']
    )
    usual = tool.list_runs(['eovseg-5'], 1)
    assert not {lab.path(run) for run in long} & {lab.path(run) for run in usual}
    assert lab.run_all(long) == []
    steps = [words for name, _, words in lab.calls if name == 'train']
    assert all('train_cfg.max_iters=6000' in words for words in steps)
    assert len(steps) == len(tool.measure(lab, 'eovseg-5-long', 3)) == 3
    lab.iterations = 3
    assert lab.count_iterations(long[0]) == 3


def test_options_are_evaluations_of_one_training(tool, lab):
    assert lab.run_all(tool.list_runs(['eovseg-10'], 1)) == []
    names = [name for name, *_ in lab.calls]
    assert (names.count('train'), names.count('test')) == (1, 15)
    assert len({words[1] for name, _, words in lab.calls if name == 'test'}) == 1
    assert 'model.ensemble.type=ArithmeticEnsemble' in lab.calls[2][2]


def test_a_failure_costs_only_what_needs_it(tool, lab):
    lab.broken = {'deop-conv'}
    errors = lab.run_all(tool.list_runs(['deop-5'], 1))
    assert len(errors) == 1
    assert errors[0].startswith('deop-conv, seed 0: tools/train.py')
    rows = tool.measure(lab, 'deop-5', 1)
    assert [bool(row) for row in rows] == [True, False, True, True, True]
    lab.broken = {'proposals_tiny_shapeworld-zs'}
    assert len(lab.run_all(tool.list_runs(['deop-5'], 2))) == 6  # all of seed 1, conv


def test_the_key_knows_iterations_seeds_pictures_and_parents(tool, lab):
    run = tool.Run('deop_tiny_shapeworld-zs', 0)
    keys = {lab.key(run), lab.key(run._replace(seed=1))}
    lab.size.iterations['ZeroShotMaskFormer'] += 1  # of a stage before
    keys.add(lab.key(run))
    lab.size.iterations['ZeroShotMaskFormer'] -= 1
    lab.size = lab.size._replace(num_train=7)
    keys.add(lab.key(run))
    assert len(keys) == 4


def test_the_key_knows_the_packaged_clip(tool, lab, monkeypatch, tmp_path):
    run = tool.Run('deop_tiny_shapeworld-zs', 0)
    for name in ('tiny-vit.json', 'tiny-rn.json'):
        (tmp_path / name).write_text('a')
    monkeypatch.setattr(tool, 'CLIPS', tmp_path)
    before = lab.key(run)
    (tmp_path / 'tiny-rn.json').write_text('b')
    assert lab.key(run) == before
    (tmp_path / 'tiny-vit.json').write_text('b')
    assert lab.key(run) != before


def test_options_of_a_training_shorten_its_schedule(tool, lab):
    lab.iterations = 4
    run = tool.Run('eovseg_tiny_shapeworld', 3)
    lab.train(run, [])
    words = lab.calls[0][2]
    pairs = [word.split('=') for word in words[words.index('--cfg-options') + 1 :]]
    text = dict(pairs)
    assert text['randomness.seed'] == '3'
    assert text['param_scheduler.0.end'] == text['param_scheduler.1.begin'] == '2'
    assert text['param_scheduler.1.T_max'] == '2'
    assert text['val_cfg'] == 'None'
    assert '--resume' in words


def test_a_tool_that_fails_is_told_with_its_log(tool, tmp_path):
    lab = tool.Lab(tool.parse_args(['deop-3', '--work-dir', str(tmp_path)]))
    with pytest.raises(RuntimeError, match=r'test\.py ended with 2, see .*log\.txt'):
        lab.call(tmp_path, 'tests/missing/test.py')
    assert 'missing' in (tmp_path / 'log.txt').read_text()
    assert not lab.children


def test_numbers_are_means_over_the_seeds_that_are_there(tool, lab, monkeypatch):
    values = {0: {'panoptic/PQ': 1.0, 'instance/segm_mAP': 0.5}, 1: {'panoptic/PQ': 3}}
    monkeypatch.setattr(lab, 'read', lambda run: values.get(run.seed, {}))
    row = tool.measure(lab, 'eovseg-3', 3)[0]
    assert row['PQ'] == (2.0, 2**0.5, 2, (1.0, 3))
    assert row['AP'] == (50.0, 0.0, 1, (50.0,))
    assert str(row['PQ']) == '2.0 ± 1.4'
    assert str(row['AP']) == '50.0'
    assert 'PQ seen' not in row


def test_orders_are_compared_by_pairs(report, monkeypatch):
    def value(mean, std=0.1):
        return report.Value(mean, std, 3)

    labels, paper = ['a', 'b', 'c', 'd'], [1.0, 2.0, 3.0, 3.0]
    ours = [value(1), value(2), value(1.95), value(0.5)]
    assert report.compare_order(labels, ours, paper) == (
        "2 of 5 pairs as in the paper (Kendall's tau -0.18), 1 not so but within one "
        'standard deviation, 2 not so and beyond it: b above d; a above d.'
    )
    single = [value._replace(std=0.0, count=1) for value in ours]
    text = report.compare_order(labels, single, paper)
    assert text.endswith('), 3 not so: b above d; a above d; b above c.')
    monkeypatch.setattr(report, 'NAMED', 1)
    text = report.compare_order(labels, ours, paper)
    assert text.endswith('it: b above d and, with smaller gaps, 1 more.')
    same = report.compare_order(labels, [value(x) for x in paper], paper)
    assert same == "5 of 5 pairs as in the paper (Kendall's tau 1.00)."
    assert report.compare_order(labels, [None] * 4, paper).startswith('nothing')
    each = [report.Value(x, 0.1, 2, (x, -x)) for x in paper]
    text = report.compare_order(labels, each, paper)
    assert "(Kendall's tau 1.00; seed by seed 1.00, -1.00)." in text
    each[0] = each[0]._replace(each=(1.0,))  # a row lacks a seed
    assert 'seed by seed' not in report.compare_order(labels, each, paper)


def test_a_table_has_ours_the_papers_and_their_order(tool, report):
    table = tool.TABLES['eovseg-3']
    rows = [{'PQ': report.Value(x, 0.5, 3)} for x in (4.0, 3.0)] + [{}]
    text = report.render_table(table, rows, titles=['PQ', 'AP'], image='x.png')
    lines = text.splitlines()
    assert '| row | PQ | seeds | PQ, paper | mIoU, paper |' in lines
    assert '| First (paper 0) | 4.0 ± 0.5 | 3 | 24.5 | 32.1 |' in lines
    assert '| Last (paper 11) | – | 0 | 23.7 | 31.8 |' in lines
    assert "- PQ: 1 of 1 pairs as in the paper (Kendall's tau 1.00)." in lines
    assert '- mIoU: nothing to compare yet.' in lines
    picture = report.draw_table(table, rows)
    assert picture.startswith(b'\x89PNG')
    assert len(picture) < 30_000


def test_a_page_keeps_what_others_wrote(tool, lab, tmp_path):
    page = tmp_path / 'docs' / 'page.md'
    page.parent.mkdir()
    page.write_text(f'# Mine\n\n{tool.BEGIN}\nold\n{tool.END}\n\nAlso mine.\n')
    args = tool.parse_args(['eovseg-3', 'deop-7', '--seeds', '1'])
    lab.run_all(tool.list_runs(args.tables, 1))
    for _ in range(2):
        tool.write_report(page, page.parent / 'images', args, lab)
    text = page.read_text()
    assert text.startswith('# Mine\n') and text.endswith('Also mine.\n')
    assert 'old' not in text and text.count('### eovseg-3') == 1
    assert '(images/ablation_deop-7.png)' in text
    assert (page.parent / 'images/ablation_deop-7.png').is_file()
    assert 'run_ablation eovseg-3 deop-7 --size tiny --seeds 1`' in text
    assert str(tmp_path) not in text
    assert '300 training and 60 other pictures of 128 px' in text
    args = tool.parse_args(['eovseg-3', '--iterations', '3', '--data', str(tmp_path)])
    tool.write_report(page, tmp_path, args, tool.Lab(args))
    assert '--seeds 3 --iterations 3`: pictures of --data;' in page.read_text()
    assert 'Not run yet at this size.' in page.read_text()
    assert str(tmp_path) not in page.read_text()


def run_main(tool, monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['run_ablation.py', *map(str, arguments)])
    tool.main()


def test_the_command_reports_and_fails_at_the_end(tool, lab, monkeypatch, tmp_path):
    lab.broken = {'eovseg-last-block'}
    monkeypatch.setattr(lab, 'draw', lambda: None)
    monkeypatch.setattr(tool, 'Lab', lambda *_: lab)
    with pytest.raises(SystemExit, match='eovseg-last-block, seed 0'):
        run_main(tool, monkeypatch, 'eovseg-3', '--seeds', '1')
    page = tmp_path / 'tiny/ablations.md'
    assert '| Last (paper 11) | – |' in page.read_text()
    lab.calls.clear()
    page.unlink()
    run_main(tool, monkeypatch, 'eovseg-3', '--seeds', '1', '--only-report')
    assert not lab.calls
    assert page.is_file()


def test_mistakes_of_the_command_line_are_told(tool, monkeypatch, tmp_path, capsys):
    for words in (
        ['deop-9'],
        [],
        ['all', '--seeds', '0'],
        ['all', '--iterations', '0'],
        ['deop-3', '--publish', 'page.md'],
    ):
        with pytest.raises(SystemExit):
            tool.parse_args(words)
    told = capsys.readouterr().err
    assert 'TABLE must be of deop-3' in told
    assert '--seeds and --jobs must be at least 1' in told
    assert '--iterations must be at least 2, got 0' in told
    assert '--publish replaces all tables' in told
    with pytest.raises(SystemExit, match='--data: there is no'):
        run_main(tool, monkeypatch, 'deop-3', '--data', tmp_path)
    run_main(tool, monkeypatch, '--list')
    assert 'eovseg-10: ' in capsys.readouterr().out
    assert tool.parse_args(['all']).tables == list(tool.TABLES)
