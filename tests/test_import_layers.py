"""Modules import downwards only (CONTRIBUTING.md), and never compiled ops."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmovseg'

_BASICS = {'structures', 'ops', 'registry', 'vocabulary'}
_TORCH = {'torch', 'torchvision', 'numpy'}
_PART = {*_BASICS, 'layers', 'clip'}
_PART_LIBRARIES = {*_TORCH, 'mmengine', 'scipy', 'open_clip', 'timm'}
_READERS = {'numpy', 'mmengine', 'PIL', 'cv2', 'pycocotools'}
_DATA_LIBRARIES = {*_TORCH, 'mmengine', 'mmcv', 'mmdet', 'mmseg'}
_ALL = {
    *(_PART | {'engine', 'datasets', 'evaluation', 'targets', 'version'}),
    *('fileio', 'background_worker', 'checkpoints', 'command_line', 'processes'),
    *('progress', 'labels', 'tar_files'),
    *('progress', 'formats', 'transforms', 'shapeworld', 'openmmlab'),
    *('backbones', 'text', 'necks', 'decoders', 'heads', 'proposals', 'losses'),
    *('fusion', 'segmentors', 'moved_parts', 'protocols', 'adapters'),
    'ensembles',
    'presence_filter',
    'examples',
}
# Layer: (layers of mmovseg it may import, other packages it may import). None: any.
# A layer may always import itself.
RULES = {
    'fileio': (set(), set()),
    'tar_files': ({'fileio'}, set()),
    'background_worker': (set(), set()),
    # Libraries inside of functions: see test_the_command_starts_quickly.
    'vocabulary': ({'fileio', 'formats'}, {'numpy', 'cv2', 'PIL'}),
    'version': (set(), set()),
    'progress': (set(), {'tqdm'}),
    'command_line': ({'fileio'}, {'torch'}),
    'moved': (set(), set()),
    'processes': (set(), set()),
    'registry': ({'processes'}, {'mmengine'}),
    'structures': ({'ops'}, _TORCH),
    'ops': (set(), _TORCH),
    'clip': ({'ops'}, {*_TORCH, 'open_clip', 'safetensors'}),
    'layers': (_BASICS, _PART_LIBRARIES - {'open_clip'}),
    'targets': (_BASICS, _PART_LIBRARIES - {'open_clip'}),
    'moved_parts': ({'registry'}, set()),
    'protocols': ({'ops', 'structures'}, _TORCH),
    'ensembles': ({'registry'}, _PART_LIBRARIES - {'open_clip'}),
    'examples': ({'ops', 'vocabulary'}, _TORCH),
    'presence_filter': (
        {'ops', 'registry', 'structures'},
        _PART_LIBRARIES - {'open_clip'},
    ),
    'backbones': (_PART, _PART_LIBRARIES),
    'text': (_PART | {'fileio', 'progress'}, _PART_LIBRARIES | {'safetensors'}),
    'necks': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'decoders': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'proposals': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'heads': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'losses': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'fusion': (_PART, _PART_LIBRARIES - {'open_clip'}),
    'segmentors': (
        _BASICS | {'targets', 'ensembles', 'layers', 'examples'},
        _PART_LIBRARIES - {'open_clip'},
    ),
    'adapters': (
        _BASICS | {'targets', 'layers', 'ensembles'},
        _PART_LIBRARIES - {'open_clip'},
    ),
    'engine': ({'registry', 'fileio', 'checkpoints'}, {*_TORCH, 'mmengine'}),
    'checkpoints': (
        {'version', 'fileio', 'progress'},
        {*_TORCH, 'mmengine', 'safetensors', 'filelock'},
    ),
    'openmmlab': (set(), set()),
    'formats': ({'fileio', 'tar_files'}, _READERS),
    'transforms': (
        {'registry', 'vocabulary', 'formats', 'openmmlab'},
        # mmdet inside of functions: see test_inference_needs_no_openmmlab.
        {'torch', 'numpy', 'mmengine', 'cv2', 'mmdet'},
    ),
    'shapeworld': (set(), {'numpy'}),
    'datasets': (
        {'registry', 'vocabulary', 'fileio', 'progress', 'openmmlab'}
        | {'formats', 'transforms', 'shapeworld'},
        _DATA_LIBRARIES | {'PIL', 'cv2', 'scipy', 'pycocotools'},
    ),
    'evaluation': (
        {'registry', 'vocabulary', 'formats', 'fileio', 'background_worker'},
        _READERS | {'torch', 'scipy', 'prettytable'},
    ),
    'labels': (
        {'fileio', 'tar_files', 'vocabulary'},
        {'numpy', 'cv2', 'PIL', 'scipy', 'pycocotools', 'label_studio_sdk'},
    ),
    'apis': (_ALL, None),
    'analysis': (_ALL | {'apis'}, None),
    'web': (_ALL | {'apis'}, None),
    'cli': (_ALL | {'apis', 'analysis', 'web'}, None),
}
# Projects, and packages whose import needs, or may need, mmcv's compiled ops.
FORBIDDEN = (
    'projects',
    'mmdet.models',
    'mmdet.engine',
    'mmcv.ops',
    'mmseg.models',
    'mmseg.apis',
)


def layer_of(module):
    """Return the layer of a dotted module below mmovseg; None for plain packages."""
    parts = module.split('.')[1:]
    if parts[:1] == ['models']:
        parts = parts[1:]
    return parts[0] if parts else None


def imports_of(path):
    """Yield every module a file imports, as an absolute dotted name."""
    package = path.relative_to(ROOT).with_suffix('').parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the folder of the file, also for an __init__.py.
            above = package[: len(package) - node.level] if node.level else ()
            base = '.'.join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f'{base}.{alias.name}'


def faults(path):
    """Return the imports of a file that its layer does not allow."""
    module = '.'.join(path.relative_to(ROOT).with_suffix('').parts)
    module = module.removesuffix('.__init__')
    layer = layer_of(module)
    found = []
    for name in imports_of(path):
        if name.startswith(FORBIDDEN):
            found.append(f'{module} imports {name}')
        if layer is None:  # mmovseg/__init__.py and mmovseg/models/__init__.py
            continue
        inner, outer = RULES[layer]
        top = name.split('.')[0]
        if top == 'mmovseg':
            wanted = layer_of(name)
            if wanted is None or wanted not in inner | {layer}:
                found.append(f'{module} imports {name}')
        elif outer is not None and top not in outer | sys.stdlib_module_names:
            found.append(f'{module} imports {name}')
    return found


SOURCES = sorted(p for p in PACKAGE.rglob('*.py') if '.mim' not in p.parts)


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_imports_its_own_layer_and_below(path):
    assert not faults(path)


def test_every_layer_has_a_rule():
    layers = {
        layer_of('.'.join(path.relative_to(ROOT).with_suffix('').parts))
        for path in SOURCES
    }
    assert layers - {'__init__'} <= set(RULES)


@pytest.mark.parametrize(
    ('place', 'line'),
    [
        ('models/heads/x.py', 'from mmovseg.models.necks import VASNeck'),
        ('models/heads/x.py', 'from ..necks.vas_neck import VASNeck'),
        ('models/heads/x.py', 'def f():\n    import mmcv.ops'),
        ('models/layers/x.py', 'from mmovseg.models.heads import TDEEHead'),
        ('models/decoders/x.py', 'from ..heads import TDEEHead'),
        ('models/heads/x.py', 'from projects.eovseg_ablations import SDIHead'),
        ('models/structures.py', 'from mmovseg import registry'),
        ('models/ops/x.py', 'from mmovseg.models.layers import TDEE'),
        ('models/text/x.py', 'import mmdet'),
        ('datasets/x.py', 'from mmovseg.models import EOVSeg'),
        ('formats/x.py', 'import mmcv'),
        ('transforms/x.py', 'from mmovseg.datasets import PanopticDataset'),
        ('evaluation/x.py', 'from mmovseg.datasets import PanopticDataset'),
        ('vocabulary/x.py', 'import torch'),
        ('vocabulary/x.py', 'from mmovseg.apis import Result'),
        ('apis/x.py', 'from mmdet.models import Mask2Former'),
        ('apis/x.py', 'from mmovseg.analysis import profiling'),
        ('fileio.py', 'import torch'),
        ('labels/x.py', 'from mmovseg.apis import Result'),
    ],
)
def test_the_check_finds_a_fault(tmp_path, monkeypatch, place, line):
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    path = tmp_path / 'mmovseg' / place
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert faults(path)
