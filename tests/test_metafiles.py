"""Every number that a table of the papers has from us can be had with one command."""

import argparse
from pathlib import Path

import pytest
import timm
import yaml
from mmengine.config import DictAction
from test_configs import made_small, make_batch

from mmovseg.analysis.leaderboard import _options, list_configs, read_metafile
from mmovseg.apis.config import load_config
from mmovseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]


def list_runs():
    """Give every config with its options once; the key has them as text."""
    runs = {}
    for path in sorted(ROOT.glob('configs/*/metafile.yml')):
        for name, options in list_configs(read_metafile(path)):
            runs[' '.join([name, *_options(options)])] = name, options
    return runs


RUNS = list_runs()
# One run of those that differ in numbers only. Rows without options are configs, which
# test_configs.py goes through.
VARIANTS = {
    ' '.join(
        f'{key}=n' if type(value) is int else f'{key}={value}'
        for key, value in options.items()
        if not isinstance(value, float)
    ): run
    for run, (_, options) in RUNS.items()
    if options
}


def shrink(model):
    """Make a model small, also what has to fit to the size of another part."""
    model = made_small(model)
    if 'num_queries' in model.get('decoder', {}).get('head', {}):
        model.decoder.head.num_queries = model.decoder.num_queries
    spatial = model.get('spatial_backbone')
    if spatial is not None:
        spatial.num_blocks = min(spatial.num_blocks, 2)
    return model


def test_every_number_of_the_ablations_of_eovseg_has_a_config():
    tables = read_metafile(ROOT / 'configs/eovseg/metafile.yml')['Tables']
    for table in (x for x in tables if x['Table'] in (3, 4, 5, 10)):
        for column in table['Columns']:
            for row in table['Rows']:
                configs = row.get('Config', {})
                if 'Of' in column:
                    assert column['Of'] in configs, (table['Table'], row)
                else:
                    assert isinstance(configs, str), (table['Table'], row)


def test_options_are_what_the_command_line_makes_of_them():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    for _, options in RUNS.values():
        words = [word.replace("'", '') for word in _options(options)]  # as a shell
        typed = (
            parser.parse_args(['--cfg-options', *words]).cfg_options if words else {}
        )
        assert typed == options, words


@pytest.mark.parametrize('variant', VARIANTS)
def test_the_model_of_a_row_with_options_trains_and_predicts(variant, seed):
    model = load_config(*RUNS[VARIANTS[variant]]).model
    if (model.get('spatial_backbone') or {}).get('type') == 'TimmViTBackbone':
        spatial = model.spatial_backbone
        assert f'{spatial.model_name}.{spatial.pretrained}' in timm.list_pretrained()
    model = shrink(model)
    model.update(train_vocabulary=['thing: a', 'b'], test_vocabulary=['a', 'b'])
    model = MODELS.build(model)
    batch = make_batch(model)
    losses = model.train()(**model.data_preprocessor(batch), mode='loss')
    sum(loss for name, loss in losses.items() if 'loss' in name).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert model.eval().test_step(batch)[0].pred_sem_seg.sem_seg.max() <= 1


def test_the_model_index_lists_all_metafiles(pytestconfig):
    root = pytestconfig.rootpath
    listed = yaml.safe_load((root / 'model-index.yml').read_text())['Import']
    found = sorted(root.glob('configs/*/metafile.yml'))
    assert listed == [path.relative_to(root).as_posix() for path in found]
