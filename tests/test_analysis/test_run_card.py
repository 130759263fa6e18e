import hashlib
import json
import os
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from mmovseg.analysis import run_card
from mmovseg.apis.config import load_config
from mmovseg.vocabulary import Vocabulary


def test_hash_of_a_config_is_about_results_only(monkeypatch):
    def digest(root, **options):
        monkeypatch.setenv('MMOVSEG_DATA', root)
        return run_card.hash_config(load_config('eovseg_r50_zs-ade20k', options))

    plain = digest('/a/data')
    assert plain == digest('elsewhere/')
    assert plain == digest(
        'data', **{'test_dataloader.num_workers': 0, 'work_dir': 'x'}
    )
    monkeypatch.delenv('MMOVSEG_DATA')
    assert plain == run_card.hash_config(load_config('eovseg_r50_zs-ade20k'))
    for change in (
        {'model.fusion.iou_thr': 0.7},
        {'test_dataloader.batch_size': 2},
        {'test_dataloader.dataset.pipeline.1.scale': (1333, 800)},
        {'test_dataloader.dataset.ann_file': 'other.json'},
        {'test_cfg.fp16': True},
    ):
        assert digest('data', **change) != plain, change


def test_checkpoint_is_hashed_whole(tmp_path):
    content = bytes(range(256)) * 20_000  # more than one block
    path = tmp_path / 'weights.pth'
    path.write_bytes(content)
    assert run_card.describe_checkpoint(str(path), nn.Linear(1, 1)) == {
        'file': 'weights.pth',
        'bytes': len(content),
        'sha256': hashlib.sha256(content).hexdigest(),
    }


def test_pretrained_parts_are_told_apart_by_their_weights():
    models = [nn.Linear(2, 3) for _ in range(2)]
    cards = [
        run_card.describe_checkpoint('pretrained', x) for x in [*models, models[0]]
    ]
    assert cards[0] == cards[2] != cards[1]
    assert cards[0]['bytes'] == 4 * 9


def test_vocabularies_are_named_if_packaged():
    known = run_card.describe_vocabulary(Vocabulary.load('ade20k_150'))
    assert known == {
        'name': 'ade20k_150',
        'classes': 150,
        'names': 403,
        'sha256': Vocabulary.load('ade20k_150').fingerprint,
    }
    own = Vocabulary.from_names(['dog; puppy', 'grass'])
    assert run_card.describe_vocabulary(own)['name'] is None


def test_text_tower_is_no_parameter(tiny_clip):
    from mmovseg.analysis.profiling import build_model, count_parameters

    model = build_model('eovseg_tiny_shapeworld')
    counts = count_parameters(model)
    assert counts['text_tower'].total > 0
    total = sum(p.numel() for p in model.parameters())
    expected = {'type': 'EOVSeg', 'parameters': total - counts['text_tower'].total}
    assert run_card.describe_model(model) == expected
    assert run_card.describe_model(nn.Linear(2, 3))['parameters'] == 9


def test_versions_name_what_is_installed():
    versions = run_card.list_versions()
    assert versions['torch'] == torch.__version__.partition('+')[0] or (
        versions['torch'] == torch.__version__
    )
    assert versions['numpy'] == np.__version__
    assert all(versions[name] for name in ('mmengine', 'mmcv', 'mmdet', 'mmseg'))


def test_changes_since_the_commit_are_noted(monkeypatch, tmp_path):
    def git(*arguments):
        name = ['-c', 'user.name=n', '-c', 'user.email=e']
        subprocess.run(['git', *name, *arguments], cwd=tmp_path, check=True)

    folder = tmp_path / 'mmovseg' / 'apis'
    folder.mkdir(parents=True)
    monkeypatch.setattr(run_card, '__file__', str(folder / 'run_card.py'))
    assert run_card.describe_git() is None  # no repository
    git('init', '-q')
    (tmp_path / 'a.py').write_text('1')
    git('add', 'a.py')
    git('commit', '-qm', 'x')
    clean = run_card.describe_git()
    assert len(clean['commit']) == 40 and not clean['dirty'] and not clean['changed']
    (tmp_path / 'a.py').write_text('2')
    (tmp_path / 'b.py').write_text('2')
    changed = run_card.describe_git()
    assert changed == {**clean, 'dirty': True, 'changed': ['a.py', 'b.py']}
    # Installed into an environment inside that repository.
    inner = tmp_path / 'lib' / 'mmovseg' / 'apis' / 'run_card.py'
    monkeypatch.setattr(run_card, '__file__', str(inner))
    inner.parent.mkdir(parents=True)
    assert run_card.describe_git() is None


def test_cards_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / 'new' / 'results.json'
    card = {'format': 1, 'pq': np.float32(0.5), 'none': float('nan'), 'sizes': (1, 2)}
    run_card.write_card(path, card)
    assert run_card.read_card(path) == {
        'format': 1,
        'pq': 0.5,
        'none': None,
        'sizes': [1, 2],
    }

    def fail(*_):
        raise OSError('disk full')

    monkeypatch.setattr(os, 'replace', fail)
    with pytest.raises(OSError, match='disk full'):
        run_card.write_card(path, {'format': 1, 'pq': 2})
    assert json.loads(path.read_text())['pq'] == 0.5
    assert os.listdir(path.parent) == ['results.json']


@pytest.mark.parametrize('text', ['{', '[]', '{"format": 99}'])
def test_what_is_no_card_is_refused(tmp_path, text):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match=r'x\.json is no run card'):
        run_card.read_card(tmp_path / 'x.json')
