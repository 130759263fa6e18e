"""Models by name: packaged, converted, fetched, or to be fetched by hand."""

import re
import shlex
import shutil
import sys
import types
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from loopback import serve  # noqa: F401 (a fixture)

import mmovseg
from mmovseg.apis import OVSegInferencer, read_checkpoint, zoo
from mmovseg.apis.checkpoint import PACKAGED, find_checkpoint
from mmovseg.apis.config import find_config, load_config
from mmovseg.checkpoints import DownloadError

ROOT = Path(__file__).resolve().parents[2]
# As the tools of tools/model_converters: it reads SRC and writes DST, or says why not.
CONVERTER = """
import sys
source, target, option, config = sys.argv[1:]
assert option == '--config' and config == 'eovseg_tiny_shapeworld'
content = open(source, 'rb').read()
if not content.startswith(b'official'):
    sys.exit(f'{source} is no file of ours; nothing was written.')
open(target, 'wb').write(content[8:])
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return an empty folder of models."""
    monkeypatch.setenv('MMOVSEG_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache/models'


@pytest.fixture
def listed(tmp_path, cache, monkeypatch):
    """Return a function that puts one more model on the list."""
    tool = tmp_path / 'convert.py'
    tool.write_text(CONVERTER)
    tiny = zoo.find_model('tiny-eovseg')
    known = zoo.list_models()

    def add(**changes):
        model = tiny._replace(name='toy', weights=None, converter=str(tool), **changes)
        monkeypatch.setattr(zoo, 'list_models', lambda: (model, *known))
        return model

    return add


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    """Return a file that CONVERTER turns into that of the tiny model."""
    path = tmp_path_factory.mktemp('official') / 'model.pth'
    path.write_bytes(b'official' + PACKAGED['shapeworld'].read_bytes())
    return path


def page(number='abc-DEF_1'):
    return f'https://drive.google.com/file/d/{number}/view'


@pytest.fixture
def gdown(monkeypatch):
    """Put a gdown in place that fetches from a URL, as the real one fetches by id."""

    def install(url):
        def download(*, id, output, quiet, resume, timeout, retries):
            assert id == 'abc-DEF_1' and resume and timeout > 0
            urllib.request.urlretrieve(url, output)

        module = types.SimpleNamespace(download=download)
        monkeypatch.setitem(sys.modules, 'gdown', module)

    return install


@pytest.mark.parametrize('model', zoo.list_models(), ids=lambda model: model.name)
def test_every_entry_is_complete(model):
    assert re.fullmatch(r'[\w-]+', model.name)
    assert load_config(model.config).model
    assert model.license
    if model.origin == 'package':
        assert model.file.is_file() and model.is_here
    elif model.origin == 'page':
        assert zoo._DRIVE.match(model.source)
        assert (ROOT / model.converter).is_file()
    else:
        assert model.origin == 'hub' and model.hubs


def test_names_are_unique_and_no_configs():
    names = [model.name for model in zoo.list_models()]
    assert len(set(names)) == len(names)
    for model in zoo.list_models():
        if model.origin != 'hub':  # those need nothing but their config
            with pytest.raises(FileNotFoundError):
                find_config(model.name)


def test_links_and_numbers_are_those_that_were_read(shared):
    released = yaml.safe_load((shared / 'data/released_weights.json').read_text())
    models = {model.name: model for model in zoo.list_models()}
    for size, facts in released['fcclip']['models'].items():
        model = models[f'fcclip-{size}']
        assert facts['google_drive_id'] in model.source
        assert list(model.published.values()) == facts['published']
    deop = released['deop']['models']['deop_vit-b16_cocostuff-156']
    assert deop['google_drive_id'] in models['deop-vit-b16'].source
    assert 'none' in models['deop-vit-b16'].license


def test_links_stand_in_metafiles_alone():
    """READMEs may repeat them; code may not."""
    ids = [
        zoo._DRIVE.match(model.source)[1] for model in zoo.list_models() if model.source
    ]
    files = [*ROOT.glob('mmovseg/**/*.py'), *ROOT.glob('tools/**/*.py')]
    text = ''.join(path.read_text() for path in files if '.mim' not in path.parts)
    assert ids and not [number for number in ids if number in text]


def test_the_packaged_model_segments_a_drawing(cache):
    segment = mmovseg.load('tiny', device='cpu', show_progress=False)
    drawing = np.zeros((64, 64, 3), np.uint8)
    assert segment(drawing, vocabulary='red circle, stuff: grass')['predictions']
    assert not cache.exists()  # nothing was fetched
    assert Path(find_checkpoint('tiny')) == zoo.find_model('tiny').file
    assert Path(find_checkpoint('tiny-eovseg')) == PACKAGED['shapeworld']
    own = segment.model.state_dict()
    for name, value in read_checkpoint('tiny').items():
        assert torch.equal(own[name], value.to(own[name].dtype))


def test_a_name_is_followed_everywhere(monkeypatch):
    built = []
    monkeypatch.setattr(
        OVSegInferencer, '__init__', lambda self, *args, **more: built.append(args)
    )
    mmovseg.load('eovseg_tiny_shapeworld')
    mmovseg.load('fcclip_tiny_shapeworld')
    mmovseg.load()
    assert built == [('tiny-eovseg',), ('tiny',), ('tiny',)]


def test_without_a_name_the_best_model_that_is_here_is_taken(cache, official):
    assert zoo.find_best().name == 'tiny'
    cache.mkdir(parents=True)
    for name in ('deop-vit-b16', 'fcclip-r50', 'fcclip-r101'):
        shutil.copy(official, cache / f'{name}.pth')
        assert zoo.find_model(name).is_here
    assert zoo.find_best().name == 'fcclip-r101'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('fcclip-r51', "Did you mean 'fcclip-r50'"),
        ('eovseg_r50_coco', r'There are .*tiny.*OVSegInferencer\(CONFIG, WEIGHTS\)'),
    ],
)
def test_other_names_are_named(name, message):
    with pytest.raises(FileNotFoundError, match=message):
        mmovseg.load(name)


def test_random_weights_get_a_hint_at_real_ones(cache):
    with pytest.warns(
        UserWarning, match=r"not been trained.*OVSegInferencer\('tiny-eovseg'\)"
    ):
        OVSegInferencer('eovseg_tiny_shapeworld', device='cpu')


def test_without_gdown_the_message_says_all(listed, cache, official, monkeypatch):
    monkeypatch.setitem(sys.modules, 'gdown', None)
    listed(source=page(), license='none given')
    with pytest.raises(FileNotFoundError) as error:
        mmovseg.load('toy', device='cpu')
    text = str(error.value)
    target = cache / 'toy.official.pth'
    assert page() in text and str(target) in text and 'license: none given' in text
    assert "pip install 'mmovseg[download]'" in text
    command = shlex.split(re.search('Convert it: (.*)', text)[1])
    assert command[0] == 'python' and command[2:4] == [
        str(target),
        str(cache / 'toy.pth'),
    ]
    # The browser has put it there: no more is needed.
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(official, target)
    official_keys = read_checkpoint('tiny-eovseg').keys()
    for _ in range(2):
        assert read_checkpoint('toy').keys() == official_keys
        target.unlink(missing_ok=True)  # the second time there is the converted one
    assert zoo.find_model('toy').is_here


def test_nothing_is_fetched_unless_it_may_be(listed, gdown):
    gdown('http://127.0.0.1:9/never')
    model = listed(source=page())
    with pytest.raises(FileNotFoundError, match='with a browser'):
        zoo.get_weights(model, may_fetch=False)


def test_with_gdown_one_call_does_both(listed, gdown, cache, official, serve):  # noqa: F811
    url, asked = serve({'/x': official.read_bytes()})
    gdown(f'{url}/x')
    listed(source=page())
    assert mmovseg.load('toy', device='cpu').model
    assert asked == ['/x']
    # The first file counts.
    for path in cache.glob('*.pth'):
        path.unlink()
    url, _ = serve({'/x': official.read_bytes() + b'!'})
    gdown(f'{url}/x')
    with pytest.raises(DownloadError, match=r'drive\.google.*first download'):
        mmovseg.load('toy', device='cpu')
    assert not list(cache.glob('*.pth')) and not list(cache.glob('*.part'))


def test_a_page_instead_of_the_file_is_named(listed, gdown, cache, serve):  # noqa: F811
    url, _ = serve({'/x': b'<html>Quota exceeded</html>'})
    gdown(f'{url}/x')
    listed(source=page())
    with pytest.raises(DownloadError, match='page of the web'):
        mmovseg.load('toy', device='cpu')
    assert not [path for path in cache.iterdir() if path.suffix != '.lock']


def test_what_gdown_says_is_told_with_the_way_by_hand(listed, gdown):
    gdown('http://127.0.0.1:9/nobody')
    listed(source=page())
    with pytest.raises(DownloadError, match=r'(?s)with gdown \(.*refused.*Convert it'):
        mmovseg.load('toy', device='cpu')


def test_a_wrong_file_is_told_with_the_report_of_the_converter(listed, cache):
    listed(source=page())
    cache.mkdir(parents=True)
    torch.save({'a': torch.ones(2)}, cache / 'toy.official.pth')
    with pytest.raises(ValueError, match=r'(?s)no file of ours.*delete it'):
        mmovseg.load('toy', device='cpu')
    assert not (cache / 'toy.pth').exists()


def test_a_file_that_needs_no_conversion_is_fetched(listed, cache, serve):  # noqa: F811
    content = PACKAGED['shapeworld'].read_bytes()
    url, asked = serve({'/x.pth': content, '/wrong': content})
    listed(source=None)  # only for its other values
    model = zoo.list_models()[0]._replace(weights=f'{url}/x.pth')
    assert model.origin == 'link' and not model.is_here
    with pytest.raises(FileNotFoundError, match='not here yet'):
        zoo.get_weights(model, may_fetch=False)
    assert zoo.get_weights(model).read_bytes() == content
    assert model.is_here and asked == ['/x.pth']
    wrong = model._replace(name='wrong', weights=f'{url}/wrong', sha256='0' * 64)
    with pytest.raises(DownloadError, match='another file than expected'):
        zoo.get_weights(wrong)


def test_a_missing_packaged_file_is_named(listed):
    model = zoo.find_model('tiny')._replace(weights='mmovseg/nowhere.safetensors')
    with pytest.raises(FileNotFoundError, match='install mmovseg again'):
        zoo.get_weights(model)


def test_without_a_home_the_message_says_what_to_set(monkeypatch):
    monkeypatch.setenv('MMOVSEG_CACHE', '~nobody-here/x')
    with pytest.raises(FileNotFoundError, match='Set MMOVSEG_CACHE'):
        zoo.get_weights(zoo.find_model('fcclip-r50'))


def test_weights_of_hubs_are_here_if_all_their_files_are(tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    model = zoo.find_model('tiny')._replace(weights=None, hubs=('a/b', 'c/d'))
    assert model.origin == 'hub' and model.file is None
    for folder in ('models--a--b', 'models--c--d'):
        assert not model.is_here
        path = tmp_path / folder / 'snapshots/1/model.safetensors'
        path.parent.mkdir(parents=True)
        path.touch()
    assert model.is_here and zoo.get_weights(model) is None


def test_a_name_has_its_own_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'tiny' is a model.*tiny_shapeworld'"):
        OVSegInferencer('tiny', tmp_path / 'mine.pth')
