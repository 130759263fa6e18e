"""Configs by name, and mistakes in them."""

import warnings
from pathlib import Path

import mmengine
import pytest
from mmengine.config import Config

from mmovseg.apis.config import (
    RENAMED,
    check_config,
    config_folders,
    find_config,
    load_config,
    without_downloads,
)


def tiny(**model):
    part = dict(type='MaskFusion', iou_thr=0.5)
    return dict(model=dict(dict(type='EOVSeg', fusion=part), **model))


def test_packaged_config_is_found_by_name():
    cfg = load_config('eovseg_r50_coco')
    assert cfg.model.type == 'EOVSeg'
    assert load_config('eovseg/eovseg_r50_coco.py').model.type == 'EOVSeg'


def test_options_change_values():
    cfg = load_config(tiny(), {'model.fusion.iou_thr': 0.7})
    assert cfg.model.fusion.iou_thr == 0.7


def test_a_loaded_config_is_copied():
    cfg = Config(tiny())
    load_config(cfg, {'model.fusion.iou_thr': 0.7})
    assert cfg.model.fusion.iou_thr == 0.5


def test_unknown_name_lists_similar_ones():
    with pytest.raises(FileNotFoundError, match='eovseg_r50_coco'):
        load_config('eovseg_r50_cocoo')
    with pytest.raises(TypeError, match='path, name or dict'):
        load_config(3)


@pytest.mark.parametrize(
    'config, message',
    [
        (tiny(fusoin=1), r"model\.fusoin: EOVSeg has no such .* mean 'fusion'"),
        (
            tiny(fusion=dict(type='MaskFusion', iou_thrr=0.5)),
            r"model\.fusion\.iou_thrr: MaskFusion has no such .* mean 'iou_thr'",
        ),
        (
            tiny(decoder=dict(type='LiteDecoder', head=dict(type='TDEEHead', x=1))),
            r'model\.decoder\.head\.x',
        ),
        (tiny(neck=dict(type='VasNeck')), r"model\.neck\.type.*'VASNeck'"),
        (dict(modle=dict()), "no 'model'; is 'modle' meant"),
        (dict(val_cfg=dict()), "there is no 'model'"),
    ],
)
def test_misspelt_keys_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        check_config(Config(config))


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(ValueError, match='Mistakes') as error:
        check_config(tiny(a1=1, b1=2))
    for name in ('model.a1', 'model.b1'):
        assert name in str(error.value)


def test_foreign_parts_and_own_variables_are_left_alone():
    foreign = dict(type='mmdet.Anything', nested=dict(type='MaskFusion', odd=1))
    check_config(
        dict(
            tiny(neck=foreign, init_cfg=dict(type='Pretrained', checkpoint='a', x=1)),
            vocabulary='coco_panoptic',
            data_root='data',
            clip=dict(),
        )
    )


@pytest.mark.parametrize('kind', ['PatchSeveranceLayer', 'AttentionRepairLayer'])
def test_severed_blocks_may_name_their_layer(kind):
    entry = dict(block=-1, type=kind, mode='sclip')
    cfg = load_config('deop_tiny_shapeworld-zs')
    cfg.model.backbone.severance = [entry]
    check_config(cfg)
    cfg.model.backbone.severance = [entry | dict(layer=1)]
    with pytest.raises(ValueError, match=rf'severance\.0\.layer: {kind} has no such'):
        check_config(cfg)


def test_downloads_are_switched_off():
    model = dict(
        backbone=dict(model_name='RN50', pretrained='openai'),
        extra=[dict(model_name='tiny-rn', pretrained='some/file.pt')],
        other=dict(pretrained='kept: not a CLIP'),
    )
    result = without_downloads(model)
    assert result.backbone == dict(model_name='RN50-quickgelu', pretrained=None)
    assert result.extra[0] == dict(model_name='tiny-rn', pretrained=None)
    assert result.other == model['other']
    assert model['backbone']['pretrained'] == 'openai'
    kept = without_downloads(model, keep=lambda path: path == 'backbone')
    assert kept.backbone == model['backbone']
    assert kept.extra[0].pretrained is None


@pytest.mark.parametrize(
    ('wrong', 'right'),
    [
        ('optim_wrapperr', 'optim_wrapper'),
        ('train_dataloder', 'train_dataloader'),
        ('custom_hook', 'custom_hooks'),
        ('modle', 'model'),
        ('test_pipline', 'test_pipeline'),
    ],
)
def test_misspelt_key_of_a_leaf_is_named_though_a_base_has_the_right_one(wrong, right):
    cfg = load_config('eovseg_tiny_shapeworld')
    cfg[wrong] = {}
    with pytest.warns(UserWarning, match=f"{wrong}.*Did you mean '{right}'"):
        check_config(cfg)


@pytest.mark.parametrize(
    'name',
    [
        *('tta_pipeline', 'tta_model', 'load_pipeline', 'val_data_root', 'pipeline'),
        *('my_vocabulary', 'train_datasets', 'img_ratios', 'x', 'dataset_type'),
    ],
)
def test_variables_may_have_any_name(name):
    cfg = load_config('eovseg_tiny_shapeworld')
    cfg[name] = 1
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        check_config(cfg)


@pytest.mark.parametrize(
    'base', ['ade20k', 'cityscapes', 'pascal_voc12', 'coco-stuff164k']
)
def test_the_data_configs_of_mmseg_can_be_bases(base, tmp_path):
    import mmseg

    data = Path(mmseg.__file__).parent / '.mim/configs/_base_/datasets'
    model = config_folders()[0] / '_base_/models/eovseg_tiny.py'
    path = tmp_path / 'mine.py'
    path.write_text(f'_base_ = [{str(data / base) + ".py"!r}, {str(model)!r}]')
    assert 'tta_pipeline' in load_config(path)


@pytest.mark.parametrize('suffix', ['.json', '.yaml', '.yml'])
def test_configs_of_other_formats(tmp_path, suffix):
    path = tmp_path / f'mine{suffix}'
    mmengine.dump(load_config('eovseg_tiny_shapeworld').to_dict(), path)
    assert load_config(path).model.type == 'EOVSeg'


@pytest.mark.parametrize(
    'text',
    [
        'model: !!python/object/apply:os.system ["touch code-has-run"]',
        'model: {type: EOVSeg}\nx: !!python/name:os.system',
        # MMEngine replaces this before it reads the rest.
        "model: {{'$X:!!python/object/apply:os.system'}} [touch code-has-run]",
    ],
)
def test_yaml_runs_no_code(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'bad.yaml'
    for file in (path, tmp_path / 'base.yml'):
        file.write_text(text)
    with pytest.raises(ValueError, match=r'bad\.yaml is no config'):
        load_config(path)
    path.write_text('_base_: base.yml\nx: 1')
    with pytest.raises(ValueError, match=r'bad\.yaml is no config'):
        load_config(path)
    assert not (tmp_path / 'code-has-run').exists()


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('x.py', 'model = ('),
        ('x.json', '{"model": '),
        ('x.json', '[1, 2]'),
        ('x.yaml', 'a: [1'),
        ('x.yaml', 'text'),
        ('x.txt', 'model = 1'),
        ('x.yaml', ''),
    ],
)
def test_files_that_are_no_config_are_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f'{name} is no config'):
        load_config(tmp_path / name)


def test_labels_and_model_must_number_classes_alike():
    config = load_config('deop_tiny_cocostuff-sample')
    load_config(config)
    config.model.train_vocabulary = 'shapeworld'
    with pytest.raises(
        ValueError, match=r"seen: labels .* 'plain/coco_stuff_156', but"
    ):
        load_config(config)


@pytest.mark.parametrize('start', RENAMED)
def test_old_names_of_configs_say_the_new_ones(start):
    ending = 'vit-b16_cocostuff-156'
    now = f'{RENAMED[start]}{ending}'
    assert find_config(now).stem == now
    for name in (f'{start}{ending}', f'configs/deop/{start}{ending}.py'):
        with pytest.raises(FileNotFoundError, match=f"called '{now}' today"):
            load_config(name)


def test_names_of_configs_have_no_plus():
    assert not [x for folder in config_folders() for x in folder.rglob('*+*')]


def test_a_norm_may_be_frozen_whoever_registered_it():
    import mmcv.cnn  # noqa: F401 (registers BN in the registry above ours)

    config = load_config('simbaseline_vit-b16_cocostuff-156')
    assert config.model.proposals.backbone.norm_cfg.requires_grad is False
