"""Build our models with the reference weights, from names and shapes."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / 'tests' / 'golden'


def load_module(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


converter = load_module(ROOT / 'tools/model_converters/eovseg_to_mmovseg.py')
fill = load_module(GOLDEN / 'fill.py')
deop_converter = load_module(ROOT / 'tools/model_converters/deop_to_mmovseg.py')
fill_deop = load_module(GOLDEN / 'fill_deop.py')
fcclip_converter = load_module(ROOT / 'tools/model_converters/fcclip_to_mmovseg.py')


def official_shapes(size):
    text = (GOLDEN / f'eovseg_{size}.json').read_text()
    return json.loads(text)['state_dict']


def reference_state_dict(size, *, prefixes=('',)):
    """Return our state dict of the reference weights, parts by our prefixes."""
    shapes = {
        name: shape
        for name, shape in official_shapes(size).items()
        if (converter.rename(name) or '-').startswith(prefixes)
    }
    return converter.convert(fill.fill_state_dict(shapes))[0]


def official_deop_shapes(kind='DeOP'):
    """Return the names and shapes of a ``'DeOP'`` or ``'SimBaseline'`` file."""
    shapes = json.loads((GOLDEN / 'deop_vitb16.json').read_text())['state_dict']
    if kind == 'SimBaseline':
        own = re.compile(r'decoder\.|query_embedding\.|.*learned_position$')
        shapes = {name: shape for name, shape in shapes.items() if not own.match(name)}
        for name in ('pixel_mean', 'pixel_std'):
            shapes[f'clip_adapter.{name}'] = [1, 3, 1, 1]
    return shapes


def deop_state_dict(kind='DeOP', *, prefixes=('',)):
    """Return our state dict of the reference weights, parts by our prefixes."""
    shapes = {
        name: shape
        for name, shape in official_deop_shapes(kind).items()
        if (deop_converter.rename(name) or '-').startswith(prefixes)
    }
    return deop_converter.convert(fill_deop.fill_state_dict(shapes), kind)[0]


def relative_error(value, expected):
    value = np.asarray(value.detach() if hasattr(value, 'detach') else value)
    value, expected = value.astype(np.float64), np.asarray(expected, np.float64)
    return np.linalg.norm(value - expected) / np.linalg.norm(expected)


def unpack(bits, size):
    """Return the packed masks ``[N, bytes]`` as logits of +-1, ``[1, N, h, w]``."""
    height, width = size
    masks = np.unpackbits(bits, axis=1)[:, : height * width]
    return torch.from_numpy(masks.reshape(1, -1, height, width) * 2.0 - 1).float()


def fcclip_state_dict(size, *, prefixes=('',)):
    """Return our state dict of FC-CLIP's reference weights, parts by our prefixes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GOLDEN)  # it imports fill
        fill_fcclip = load_module(GOLDEN / 'fill_fcclip.py')
    shapes = json.loads((GOLDEN / f'fcclip_{size}.json').read_text())['state_dict']
    shapes = {
        name: shape
        for name, shape in shapes.items()
        if (fcclip_converter.rename(name) or '-').startswith(prefixes)
    }
    return fcclip_converter.convert(fill_fcclip.fill_state_dict(shapes))[0]


def without_clip_weights(path):
    """Return the model of a config without any weights from a network."""
    model = Config.fromfile(path).model
    for part in (model.backbone, model.text_classifier):
        part.pretrained = None
    model.train_vocabulary = 'coco_panoptic'
    model.test_vocabulary = 'ade20k_150'
    return model


def check_tap(golden, name, value, tolerance):
    """Compare with a recorded summary: 16 values and the mean of each channel."""
    assert list(value.shape) == golden[f'tap/{name}/shape'].tolist()
    dims = (0, 2, 3) if value.dim() == 4 else tuple(range(value.dim() - 1))
    first = value.flatten()[:16]
    assert relative_error(first, golden[f'tap/{name}/first16']) < tolerance
    means = value.double().mean(dims)
    assert relative_error(means, golden[f'tap/{name}/chmean']) < tolerance


class RecordedRandom:
    """Serve torch.rand from the recorded stream, and note every call."""

    def __init__(self):
        self.stream = np.random.RandomState(0)
        self.shapes = []

    def __call__(self, *shape, **kwargs):
        shape = tuple(shape[0]) if not isinstance(shape[0], int) else shape
        self.shapes.append(shape)
        return torch.from_numpy(self.stream.random_sample(shape).astype(np.float32))
