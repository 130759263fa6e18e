"""Configs by name, and mistakes in them."""

import pytest
from mmengine.config import Config

from mmovseg.apis.config import check_config, load_config, without_downloads


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
        (dict(tiny(), test_pipline=[]), r"test_pipline: .*'test_pipeline'"),
        (dict(val_cfg=dict()), "there is no 'model'"),
    ],
)
def test_misspelt_keys_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        check_config(Config(config))


def test_all_mistakes_are_listed_at_once():
    with pytest.raises(ValueError, match='Mistakes') as error:
        check_config(dict(tiny(a1=1, b1=2), test_pipline=[]))
    for name in ('model.a1', 'model.b1', 'test_pipline'):
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
    ],
)
def test_misspelt_key_of_a_leaf_is_named_though_a_base_has_the_right_one(wrong, right):
    cfg = load_config('eovseg_tiny_shapeworld')
    cfg[wrong] = {}
    with pytest.raises(ValueError, match=f"{wrong}: did you mean '{right}'"):
        check_config(cfg)


def test_labels_and_model_must_number_classes_alike():
    config = load_config('deop_tiny_cocostuff-sample')
    load_config(config)
    config.model.train_vocabulary = 'shapeworld'
    with pytest.raises(
        ValueError, match=r"seen: labels .* 'plain/coco_stuff_156', but"
    ):
        load_config(config)
