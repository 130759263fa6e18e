"""mmseg's and mmdet's own tools on our models, and ours on theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement

from mmovseg.apis import OVSegInferencer, init_model, load_config
from mmovseg.registry import MODELS
from mmovseg.shapeworld.drawing import draw_numbered

pytestmark = pytest.mark.ops
NAME = 'eovseg_tiny_shapeworld'


@pytest.fixture(scope='module')
def photo():
    return draw_numbered(20, 'val', 0).image[..., ::-1].copy()


@pytest.fixture(scope='module')
def expected(photo):
    """What our own inferencer finds."""
    inferencer = OVSegInferencer(NAME, 'shapeworld', device='cpu', show_progress=False)
    [found] = inferencer(photo, return_datasamples=True, task='panoptic')['predictions']
    [labels] = inferencer(photo, return_datasamples=True, task='semantic')[
        'predictions'
    ]
    return found.pred_panoptic_seg.sem_seg, labels.pred_sem_seg.data


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A file as MMEngine's runner leaves it, which both read."""
    model = init_model(NAME, 'shapeworld')
    path = tmp_path_factory.mktemp('weights') / 'tiny.pth'
    meta = dict(
        dataset_meta=dict(
            classes=model.vocabulary.names, palette=[(0, 0, 0)] * len(model.vocabulary)
        )
    )
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return str(path)


def config(visualizer):
    cfg = load_config(NAME)
    cfg.visualizer = dict(type=visualizer, name=visualizer)
    return cfg


def test_init_model_and_inference_model_of_mmseg(photo, expected, checkpoint):
    from mmseg.apis import inference_model
    from mmseg.apis import init_model as init_of_mmseg

    model = init_of_mmseg(load_config(NAME), checkpoint, device='cpu')
    assert torch.equal(inference_model(model, photo).pred_sem_seg.data, expected[1])


def test_inferencer_of_mmseg(photo, expected, checkpoint):
    from mmseg.apis import MMSegInferencer

    inferencer = MMSegInferencer(
        config('mmseg.SegLocalVisualizer'),
        checkpoint,
        classes=list(load_vocabulary()),
        palette=[[0, 0, 0]] * len(load_vocabulary()),
        device='cpu',
        scope='mmovseg',
        show_progress=False,
    )
    found = inferencer(photo)['predictions']
    np.testing.assert_array_equal(found, expected[1][0].numpy())


def load_vocabulary():
    from mmovseg.vocabulary import Vocabulary

    return Vocabulary.load('shapeworld').names


def test_test_time_augmentation_of_mmseg():
    cfg = load_config(NAME, {'model.fusion.logits': True})
    init_default_scope('mmovseg')
    torch.manual_seed(0)
    tta = MODELS.build(dict(type='mmseg.SegTTAModel', module=cfg.model)).eval()
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    meta = dict(img_shape=(64, 96), ori_shape=(64, 96), img_path='a.png')
    samples = [
        BaseDataElement(metainfo=meta),
        BaseDataElement(metainfo=dict(meta, flip=True, flip_direction='horizontal')),
    ]
    views = dict(
        inputs=[[image], [image.flip(-1)]], data_samples=[[x] for x in samples]
    )
    [merged] = tta.test_step(views)
    shares = []
    for image_of_view, sample in zip(views['inputs'], samples, strict=True):
        view = dict(inputs=image_of_view, data_samples=[sample])
        [found] = tta.module.test_step(view)
        shares.append(found.seg_logits.data.softmax(0))
    assert not torch.equal(*shares)
    assert torch.equal(merged.pred_sem_seg.data[0], (sum(shares) / 2).argmax(0))


def test_inferencer_of_mmdet(photo, expected, checkpoint, tmp_path):
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(
        config('mmdet.DetLocalVisualizer'),
        checkpoint,
        device='cpu',
        scope='mmovseg',
        show_progress=False,
    )
    [found] = inferencer(photo, return_datasamples=True, return_vis=True)['predictions']
    assert torch.equal(found.pred_panoptic_seg.sem_seg, expected[0])


def test_our_inferencer_says_whose_model_it_got():
    from mmengine.config import Config

    path = Path(__file__).resolve().parents[2] / 'projects/mixing/configs/mmseg'
    cfg = Config.fromfile(path / 'upernet_clip-conv.py')
    cfg.test_pipeline = [dict(type='PackInputs')]
    with pytest.raises(
        ValueError, match=r'EncoderDecoder is a model of mmseg, .*MMSeg'
    ):
        OVSegInferencer(cfg, device='cpu')
