"""What is said where a part of OpenMMLab is missing, or is of the other kind."""

import importlib

import pytest

from mmovseg import openmmlab


def fail_with(monkeypatch, name):
    def fail(module):
        raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    monkeypatch.setattr(importlib, 'import_module', fail)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('mmdet', "Datasets need mmcv, .*mmdet is not installed: pip install 'mmovseg"),
        ('mmcv._ext', 'Datasets need mmdet, .*compiled ops, .*: install the forks'),
    ],
)
def test_the_message_tells_what_to_install(monkeypatch, name, words):
    fail_with(monkeypatch, name)
    with pytest.raises(openmmlab.MissingPackageError, match=words) as caught:
        openmmlab.import_openmmlab('mmdet.datasets', need='Datasets need')
    assert caught.value.name == name


def test_faults_of_others_stay_as_they_are(monkeypatch):
    fail_with(monkeypatch, 'numpy')
    with pytest.raises(ModuleNotFoundError, match="No module named 'numpy'"):
        openmmlab.import_openmmlab('mmdet.datasets', need='Datasets need')
