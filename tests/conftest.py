"""Fixtures shared by all tests."""

import gc
import os
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session', autouse=True)
def _private_cache(tmp_path_factory):
    """Keep cached text embeddings out of the user's home directory."""
    before = os.environ.get('MMOVSEG_CACHE')
    os.environ['MMOVSEG_CACHE'] = str(tmp_path_factory.mktemp('cache'))
    yield
    if before is None:
        del os.environ['MMOVSEG_CACHE']
    else:
        os.environ['MMOVSEG_CACHE'] = before


@pytest.fixture(scope='session', autouse=True)
def _one_tokenizer():
    """Read the words of CLIP's tokenizers once, not for every model that is built."""
    import open_clip

    read = open_clip.get_tokenizer
    open_clip.get_tokenizer = cache(read)
    yield
    open_clip.get_tokenizer = read


def pytest_collection_finish():
    """Spare the collector of garbage what the imports have left for good."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def seed():
    """Seed every generator, so random weights and inputs repeat."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (the global generator is what mmcv draws from)
    torch.manual_seed(0)
    return 0


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """Every device, a GPU under ``-m gpu``; products in float32 have all their bits."""
    if request.param == 'cuda':
        if not torch.cuda.is_available():
            pytest.skip('needs a GPU')
        monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device(request.param)


@pytest.fixture
def gpu(monkeypatch):
    """Return a GPU; for tests marked ``gpu``."""
    if not torch.cuda.is_available():
        pytest.skip('needs a GPU')
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device('cuda')


class _WithoutDraws(TorchFunctionMode):
    """While active, leave tensors as they are where random numbers would fill them."""

    draws = frozenset(
        [
            *(torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.erfinv_),
            *(init.normal_, init.uniform_, init.trunc_normal_),
            *(init.kaiming_normal_, init.kaiming_uniform_),
            *(init.xavier_normal_, init.xavier_uniform_),
        ]
    )

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.draws:
            return args[0] if args else kwargs['tensor']
        return func(*args, **kwargs)


@pytest.fixture
def without_draws():
    """Build large models quickly whose weights do not matter."""
    with _WithoutDraws():
        yield


class _LargestTensor(TorchDispatchMode):
    """While active, remember how many values the largest new tensor has."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for x in result if isinstance(result, (list, tuple)) else [result]:
            # Views and expanded tensors count as what they are made of.
            if isinstance(x, torch.Tensor):
                size = x.untyped_storage().nbytes() // x.element_size()
                self.numel = max(self.numel, size)
        return result


@pytest.fixture
def largest_tensor():
    """Return a context that measures the largest tensor touched inside it."""
    return _LargestTensor


@pytest.fixture(scope='session')
def tiny_clip():
    """Register the tiny CLIPs, and a smaller ViT with large patches; return names."""
    import open_clip

    import mmovseg

    open_clip.add_model_config(Path(mmovseg.__file__).parent / 'models' / 'tiny_clip')
    open_clip.add_model_config(ROOT / 'tests' / 'toy_clip')
    return {'resnet': 'tiny-rn', 'convnext': 'tiny-convnext', 'vit': 'toy-vit'}


@pytest.fixture
def vocabulary():
    """Three classes, four names; class 1 is the only stuff."""
    from mmovseg.vocabulary import Vocabulary

    return Vocabulary(
        synonyms=(('dog', 'puppy'), ('grass',), ('kite',)),
        is_thing=(True, False, True),
    )


def pytest_addoption(parser):
    parser.addoption(
        '--need-shared',
        action='store_true',
        help='stop instead of skipping what needs ../shared where there is none',
    )


@pytest.fixture(scope='session')
def shared(pytestconfig):
    """The folder of reference tensors and samples; skip where it is missing."""
    path = ROOT.parent / 'shared'
    if not (path / 'golden').is_dir():
        if pytestconfig.getoption('need_shared'):
            pytest.exit(
                f'Nothing to compare: there is no {path / "golden"}. The recorded '
                'tensors of the reference implementations belong beside the clone.',
                returncode=1,
            )
        pytest.skip('needs the shared reference folder next to the repository')
    return path
