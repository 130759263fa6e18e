"""Models as folders and repositories: what is saved is what is loaded."""

import copy
import json

import numpy as np
import pytest
import yaml

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.shapeworld.drawing import draw_numbered

NAMES = 'red star; red stars, green square, stuff: grass, stuff: sand'


@pytest.fixture(scope='module')
def inferencer():
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    return OVSegInferencer(model, vocabulary=NAMES, show_progress=False)


@pytest.fixture(scope='module')
def saved(inferencer, tmp_path_factory):
    return inferencer.save_pretrained(tmp_path_factory.mktemp('hub') / 'tiny')


def test_a_model_comes_back_as_it_was(inferencer, saved):
    again = OVSegInferencer.from_pretrained(saved, device='cpu', show_progress=False)
    assert again.model.vocabulary == inferencer.model.vocabulary
    assert again.model.train_vocabulary == inferencer.model.train_vocabulary
    photo = draw_numbered(0, 'val', 0).image[..., ::-1]
    first, second = inferencer.segment(photo), again.segment(photo)
    assert first.segments and (first.label_map == second.label_map).all()
    scores = [[x.score for x in result.segments] for result in (first, second)]
    np.testing.assert_array_equal(*scores)


def test_the_files_are_data(saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == ['README.md', 'config.yaml', 'model.safetensors']
    text = (saved / 'config.yaml').read_text()
    assert 'train_dataloader' not in text and 'thing: red star; red stars' in text
    card = (saved / 'README.md').read_text()
    head = yaml.safe_load(card.split('---')[1])
    assert head['pipeline_tag'] == 'image-segmentation' and head['license'] == 'other'
    assert '# tiny' in card and 'Trained on 47 classes' in card


@pytest.fixture
def copied(saved, tmp_path):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    'line, message',
    [
        ('custom_imports: {imports: [antigravity]}', 'imports modules'),
        ('x: !!python/object/apply:os.getcwd []', 'plain data'),
    ],
)
def test_a_config_cannot_run_code(copied, line, message):
    with open(copied / 'config.yaml', 'a') as file:
        file.write(f'\n{line}\n')
    with pytest.raises(ValueError, match=message):
        OVSegInferencer.from_pretrained(copied)


def test_files_of_others_stay(inferencer, tmp_path):
    (tmp_path / 'README.md').write_text('mine')
    inferencer.save_pretrained(tmp_path)
    assert (tmp_path / 'README.md').read_text() == 'mine'
    inferencer.save_pretrained(tmp_path)  # over the model
    (tmp_path / 'model.safetensors').unlink()
    (tmp_path / 'config.yaml').write_text('mine')
    with pytest.raises(FileExistsError, match='something else'):
        inferencer.save_pretrained(tmp_path)
    assert (tmp_path / 'config.yaml').read_text() == 'mine'


def test_a_folder_that_is_no_model(copied):
    (copied / 'model.safetensors').unlink()
    with pytest.raises(FileNotFoundError, match=r'no model\.safetensors'):
        OVSegInferencer.from_pretrained(copied)


def test_what_cannot_be_fetched(monkeypatch):
    import huggingface_hub

    def fail(*args, **options):
        raise OSError('there is no network\nmore')

    monkeypatch.setattr(huggingface_hub, 'snapshot_download', fail)
    with pytest.raises(FileNotFoundError, match=r'nobody/model is no.*no network$'):
        OVSegInferencer.from_pretrained('nobody/model')


def test_a_type_that_is_no_name_is_told(inferencer, tmp_path, monkeypatch):
    cfg = copy.deepcopy(inferencer.cfg)
    cfg.model.fusion = dict(cfg.model.fusion, type=dict)
    monkeypatch.setattr(inferencer, 'cfg', cfg)
    with pytest.raises(ValueError, match=r'config\.model\.fusion\.type is a type'):
        inferencer.save_pretrained(tmp_path / 'new')
    assert not (tmp_path / 'new').exists()


def test_pushing_uploads_these_files(inferencer, monkeypatch):
    import huggingface_hub

    calls = {}

    class Api:
        def __init__(self, token=None):
            calls['token'] = token

        def create_repo(self, repo_id, **options):
            calls['repo'] = repo_id, options

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            from pathlib import Path
            from types import SimpleNamespace

            calls['files'] = sorted(x.name for x in Path(folder_path).iterdir())
            calls['card'] = (Path(folder_path) / 'README.md').read_text()
            return SimpleNamespace(commit_url='address')

    monkeypatch.setattr(huggingface_hub, 'HfApi', Api)
    assert inferencer.push_to_hub('me/tiny', license='mit', token='t') == 'address'
    assert calls['repo'] == ('me/tiny', dict(private=None, exist_ok=True))
    assert calls['files'] == ['README.md', 'config.yaml', 'model.safetensors']
    assert "from_pretrained('me/tiny')" in calls['card']
    assert 'license: mit' in calls['card'] and calls['token'] == 't'
    assert json.dumps(calls)
