"""Where an unseen class could enter what is trained or chosen, and that it does not.

Every config that trains on ShapeWorld, every module of projects/shapeworld and every
row of its tables is named here, so that a new one fails until somebody has looked at
it. What training puts into words is recorded in test_demo/test_shapeworld_demo.py.
CLIPs are no part of this: by design they have read all names.
"""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from golden_utils import ROOT
from mmengine.config import Config
from safetensors import safe_open

from mmovseg.datasets.shapeworld_files import write_split
from mmovseg.shapeworld.drawing import CLASSES, SEEN, SPLITS, UNSEEN, draw_numbered
from mmovseg.vocabulary import Vocabulary
from projects.shapeworld import (
    calibrate_void,
    choose_margin,
    evaluate_examples,
    leaderboard,
    run_ablation,
)

# What a config learns from: files of the training split, or drawings of it.
FILES, DRAWN = 'files', 'drawn'
TRAINED = {
    'configs/deop/deop_tiny_shapeworld-zs.py': FILES,
    'configs/deop/prompt_tiny_shapeworld-zs.py': FILES,
    'configs/deop/proposals_tiny_shapeworld-zs.py': FILES,
    'configs/eovseg/eovseg_tiny_shapeworld.py': FILES,
    'configs/fcclip/fcclip_tiny_shapeworld.py': FILES,
    'projects/shapeworld/configs/deop-text_tiny_shapeworld-zs.py': FILES,
    'projects/shapeworld/configs/mmseg/san_tiny-vit-whole.py': FILES,
    'projects/shapeworld/configs/training_free/mask2former_tiny.py': FILES,
    'projects/shapeworld/configs/training_free/mask2former_tiny_leaderboard.py': FILES,
    'projects/shapeworld/recipes/eovseg_tiny_hold_out.py': DRAWN,
    'projects/shapeworld/recipes/fcclip_tiny.py': DRAWN,
    'projects/shapeworld/recipes/fcclip_tiny_end.py': DRAWN,
}
# Without a training of their own: the weights come from stages above.
ASSEMBLED = {
    'configs/deop/simbaseline_tiny_shapeworld-zs.py',
    'projects/shapeworld/configs/deop-baseline_tiny_shapeworld-zs.py',
    'projects/shapeworld/configs/training_free/mask2former_tiny-rn.py',
    'projects/shapeworld/configs/training_free/mask2former_tiny-rn_free.py',
    'projects/shapeworld/configs/training_free/mask2former_tiny-vit.py',
    'projects/shapeworld/configs/training_free/mask2former_tiny_closed.py',
}
# Modules of the project by what they do; those that choose are tested one by one.
MODULES = {
    'chooses': {'calibrate_void', 'choose_margin'},
    'trains a CLIP': {'captions', 'crops', 'muon', 'train_clip', 'train_whole_clip'},
    'trains by a config above': {
        'closed_vocabulary_network',
        'drawn_dataset',
        'leaderboard',
        'run_ablation',
        'side_adapter',
    },
    'measures what is trained': {
        'ablation_report',
        'compare_repairs',
        'evaluate_checkpoint',
        'evaluate_clip',
        'evaluate_examples',
        'evaluate_patches',
        'evaluate_training_free',
        'plot_names',
    },
    'copies weights': {'export_checkpoint'},
}
NAMES = {Path(path).stem: path for path in [*TRAINED, *ASSEMBLED]}


def bases(path):
    """Return a config file and those that it inherits from."""
    found = [path]
    for node in ast.parse(path.read_text()).body:
        names = [getattr(x, 'id', '') for x in getattr(node, 'targets', ())]
        if '_base_' in names:
            names = ast.literal_eval(node.value)
            for name in [names] if isinstance(names, str) else names:
                if '::' not in name:  # of another package
                    found += bases(path.parent / name)
    return found


def find_configs():
    """Return the configs for ShapeWorld's pictures, by path within the clone."""
    paths = [
        *ROOT.glob('configs/*/*.py'),
        *ROOT.glob('projects/*/configs/**/*.py'),
        *ROOT.glob('projects/*/recipes/**/*.py'),
    ]
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if '_base_' not in path.relative_to(ROOT).parts
        and any(
            x.name.startswith('shapeworld') or "'DrawnDataset'" in x.read_text()
            for x in bases(path)
        )
    }


def innermost(dataset):
    """Return the dataset that another one may take its samples from."""
    return innermost(dataset['dataset']) if 'dataset' in dataset else dataset


def test_every_config_for_these_pictures_is_listed():
    found = find_configs()
    assert found == {*TRAINED, *ASSEMBLED}, 'list what is new, after a look at it'
    for path in ASSEMBLED:
        assert not Config.fromfile(ROOT / path).get('train_cfg'), path


@pytest.mark.parametrize('path', TRAINED)
def test_a_training_knows_the_seen_classes_alone(path):
    config = Config.fromfile(ROOT / path)
    known = config.model.train_vocabulary
    dataset = innermost(config.train_dataloader.dataset)
    if TRAINED[path] == DRAWN:
        assert dataset.type == 'DrawnDataset'
        assert known == dataset.get('vocabulary', 'shapeworld_seen')
        assert set(Vocabulary.load(known).names) <= set(SEEN)
        return  # see the test of its pictures
    assert known == 'shapeworld_seen'
    assert dataset.type == 'PanopticDataset'
    assert dataset.ann_file == 'annotations/panoptic_train.json'
    assert dataset.metainfo.vocabulary == 'shapeworld_seen'
    assert dataset.data_prefix.img == 'train/'
    # Weights to start from would be those of an unknown training.
    assert config.get('load_from') is None


def test_the_vocabulary_of_training_has_no_unseen_class():
    assert tuple(Vocabulary.load('shapeworld_seen').names) == tuple(SEEN)
    assert set(SEEN) == set(CLASSES) - set(UNSEEN) and len(UNSEEN) == 11
    assert SPLITS['train'][1] == SEEN
    # Of the other splits val is asked for, and two are for CLIPs.
    assert set(SPLITS) == {'train', 'val', 'clip', 'clip_val'}


def test_training_files_have_no_unseen_class(tmp_path):
    write_split(tmp_path, 'train', 30, size=48, seed=5)
    for kind in ('panoptic', 'instances'):
        content = json.loads((tmp_path / f'annotations/{kind}_train.json').read_text())
        named = {x['id']: x['name'] for x in content['categories']}
        assert not set(named.values()) & set(UNSEEN)
        parts = content['annotations']
        if kind == 'panoptic':
            parts = [x for annotation in parts for x in annotation['segments_info']]
        assert len({named[x['category_id']] for x in parts}) > 20


def test_drawings_for_training_and_for_choices_show_seen_classes():
    parse = [calibrate_void.parse_args, choose_margin.parse_args]
    chosen = [x(['a config', 'a checkpoint', '--device', 'cpu']).seed for x in parse]
    recipes = [
        Config.fromfile(ROOT / path).train_dataloader.dataset.seed
        for path, kind in TRAINED.items()
        if kind == DRAWN
    ]
    for seed in (*chosen, *recipes):
        labels = [draw_numbered(seed, 'train', x, 32).labels for x in range(20)]
        assert not {CLASSES[x] for group in labels for x in group} & set(UNSEEN)
    # No reported figure uses these pictures: data sets have 0, and 1, 7 and 31.
    assert not {*chosen, choose_margin.parse_args(['a', 'b']).seed + 1} & {0, 1, 7, 31}


class Asked(Exception):
    """Which vocabulary was asked for first."""


class Spy:
    """A model that knows nothing before it gets a vocabulary."""

    def set_vocabulary(self, name):
        raise Asked(name)


def test_choices_ask_for_seen_classes_alone(monkeypatch):
    seen = Vocabulary.load('shapeworld_seen')
    with pytest.raises(Asked) as found:
        calibrate_void.calibrate(Spy(), [], {})
    assert Vocabulary.load(found.value.args[0]) == seen
    for named, words in ((True, ()), (False, choose_margin.WORDS)):
        with pytest.raises(Asked) as found:
            choose_margin.try_margins(Spy(), [], seen, named=named)
        asked = Vocabulary.load(found.value.args[0])
        assert set(asked.all_names) <= {*seen.all_names, *words}
    splits = []

    def note(seed, split, number, size):
        splits.append(split)
        return draw_numbered(seed, split, number, size)

    for module in (calibrate_void, evaluate_examples):
        monkeypatch.setattr(module, 'draw_numbered', note)
    arguments = ['a', 'b', '--num-pictures', '3', '--image-size', '32']
    calibrate_void.draw(choose_margin.parse_args(arguments))
    choose_margin.draw_stand_ins(32, 24, count=1)
    assert set(splits) == {'train'}
    assert set(choose_margin.STAND_INS) < set(SEEN)


def test_what_stands_in_for_unseen_classes_is_held_out_of_its_training():
    path = 'projects/shapeworld/recipes/eovseg_tiny_hold_out.py'
    known = Vocabulary.load(Config.fromfile(ROOT / path).train_vocabulary).names
    assert set(known) == set(SEEN) - set(choose_margin.STAND_INS)


def test_every_module_of_the_project_is_listed():
    found = {x.stem for x in (ROOT / 'projects/shapeworld').glob('*.py')}
    listed = [x for group in MODULES.values() for x in group]
    assert len(listed) == len(set(listed))
    assert found == {'__init__', *listed}, 'does it train or choose anything?'


def test_captions_are_for_clips_alone():
    for path in [*ROOT.glob('projects/**/*.py'), *ROOT.glob('mmovseg/**/*.py')]:
        if 'captions' in path.read_text() and 'projects.shapeworld' in str(path):
            assert path.stem in MODULES['trains a CLIP'], path
    for path in ROOT.glob('projects/shapeworld/*.py'):
        tree = ast.parse(path.read_text())
        imported = {
            node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        }
        if {'captions', 'train_clip', 'train_whole_clip'} & imported:
            assert path.stem in {*MODULES['trains a CLIP'], 'evaluate_clip'}, path


def test_rows_and_variants_change_no_vocabulary_of_training():
    tables = yaml.safe_load(
        (ROOT / 'projects/shapeworld/configs/tables.yml').read_text()
    )
    for name, variant in tables.pop('Variants').items():
        assert variant['Config'] in NAMES, name
        assert 'vocabulary' not in str(variant['Model']), name
    for table in tables.values():
        for row in table['Rows']:
            assert row['Config'] in NAMES or row['Config'] in run_ablation.VARIANTS
            assert 'vocabulary' not in str(row.get('Options', {})), row
    stages = [stage for group in run_ablation.STAGES.values() for stage in group]
    for row in leaderboard.read_rows():
        stages += [row['Config'], *row.get('Stages', [])]
    for stage in stages:
        assert Path(stage).stem in NAMES, stage
        if stage.endswith('.py'):
            assert stage in {*TRAINED, *ASSEMBLED}


def test_the_defaults_of_filter_and_void_are_not_made_for_unseen_classes():
    """No config sets them, so nothing that was seen with them can have been chosen."""
    for path in {*TRAINED, *ASSEMBLED}:
        model = Config.fromfile(ROOT / path).model
        assert model.get('presence_filter') is None, path
        ensemble = model.get('ensemble') or {}
        assert not {'void_gamma', 'void_scale'} & set(ensemble), path


def test_demos_train_listed_configs_alone():
    for path in ROOT.glob('demo/*.py'):
        for name in re.findall(r'\b[a-z]+_tiny_shapeworld[-\w]*\b', path.read_text()):
            assert name in NAMES, (path, name)


def test_packaged_weights_hold_no_row_of_a_class():
    for path in ROOT.glob('mmovseg/models/tiny_*/*_shapeworld.safetensors'):
        with safe_open(path, 'pt') as file:
            assert file.metadata()['config'] in NAMES
            for name in file.keys():  # noqa: SIM118
                shape = file.get_slice(name).get_shape()
                assert not {len(CLASSES), len(CLASSES) + 1} & set(shape), name
