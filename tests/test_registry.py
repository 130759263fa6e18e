"""Our types are found by name alone, and a config of ours finds MMEngine's."""

import subprocess
import sys

import mmengine.registry
import pytest
from mmengine.registry import Registry

import mmovseg.registry

NAMES = {
    'MODELS': [
        *('CLIPConvBackbone', 'CLIPViTBackbone', 'EOVSeg', 'LiteDecoder', 'MaskFusion'),
        *('MaskSetLoss', 'TDEEHead', 'TextClassifier', 'VASNeck', 'TimmViTBackbone'),
        *('MaskEmbedHead', 'GeometricEnsemble'),
    ],
    'DATASETS': ['PanopticDataset'],
    'DATA_SAMPLERS': ['SeededSampler'],
    'TRANSFORMS': ['LoadPanopticAnnotations', 'SeedSample'],
    'METRICS': ['PanopticMetric', 'InstanceMetric', 'SemanticMetric'],
    'HOOKS': ['AtomicCheckpointHook', 'CheckThingsHook', 'SeedIterationHook'],
    'OPTIM_WRAPPERS': ['BFloat16OptimWrapper'],
    'OPTIM_WRAPPER_CONSTRUCTORS': ['TrainableOptimWrapperConstructor'],
    'INFERENCERS': ['OVSegInferencer'],
}


@pytest.mark.parametrize('kind', NAMES)
def test_all_parts_are_registered(kind):
    registry = getattr(mmovseg.registry, kind)
    for name in NAMES[kind]:
        assert registry.get(name).__module__.startswith('mmovseg.')


def test_every_root_registry_has_a_node():
    """Otherwise MMEngine warns whenever it builds one of that kind in our scope."""
    roots = {
        name: value
        for name, value in vars(mmengine.registry).items()
        if isinstance(value, Registry)
    }
    for name, value in roots.items():
        node = getattr(mmovseg.registry, name)
        assert node.parent is value and node.scope == 'mmovseg'


@pytest.mark.slow
def test_prefix_is_enough_without_an_import():
    # tests/test_ops does the same with the registries of mmdet and mmseg.
    code = """
import sys
from mmengine.registry import DATASETS, MODELS
assert 'mmovseg' not in sys.modules
channels = dict(in_channels=(8, 8, 8, 8), text_channels=None)
neck = MODELS.build(dict(type='mmovseg.VASNeck', **channels))
print(type(neck).__module__, DATASETS.get('mmovseg.PanopticDataset').__name__)
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'mmovseg.models.necks.vas_neck PanopticDataset' in done.stdout


def test_an_unknown_type_says_where_it_was_looked_for():
    with pytest.raises(KeyError, match=r"'mmovseg\.VASNeck', or _scope_"):
        mmovseg.registry.MODELS.build(dict(type='NoSuchPart'))


def test_new_style_configs_import_a_written_one(tmp_path):
    from mmengine.config import Config

    from mmovseg.apis import load_config

    load_config('eovseg_tiny_shapeworld').dump(tmp_path / 'base.py')
    path = tmp_path / 'mine.py'
    path.write_text(
        'from mmengine.config import read_base\n\n'
        'with read_base():\n    from .base import *\n'
        'model.update(dict(fusion=dict(type="MaskFusion", iou_thr=0.5)))\n'
    )
    cfg = Config.fromfile(path)
    assert cfg.model.fusion.iou_thr == 0.5 and cfg.model.type == 'EOVSeg'
    assert cfg.default_scope == 'mmovseg'
