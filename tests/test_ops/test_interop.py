"""Our parts inside mmdet's and mmseg's own models, from a config alone.

Each case runs in a process of its own that never imports mmovseg: the type name in
the config must be enough, without ``custom_imports``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

CASES = ('mask2former', 'upernet')
BACKBONE = dict(_delete_=True, type='mmovseg.CLIPConvBackbone', model_name='tiny-rn')
CHANNELS = [64, 128, 256, 512]


@pytest.mark.ops
@pytest.mark.parametrize('case', CASES)
def test_foreign_model_trains_with_our_backbone(case):
    done = subprocess.run(
        [sys.executable, __file__, case],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert f'{case} trained' in done.stdout


def train_one_step(model, inputs, data_samples):
    """Train one step; check that all of the model learns but the CLIP tower."""
    import torch
    from mmengine.optim import OptimWrapper

    model.init_weights()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = OptimWrapper(torch.optim.AdamW(trained, lr=1e-3))
    model.train()
    losses = model.train_step(dict(inputs=inputs, data_samples=data_samples), optimizer)
    assert all(value.isfinite().all() for value in losses.values()), losses
    changed = {
        name
        for name, value in model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert not any(name.startswith('backbone.') for name in changed)
    assert any('head' in name for name in changed)
    return losses


def mask2former():
    import mmdet
    import torch
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.structures import InstanceData, PixelData

    folder = Path(mmdet.__file__).parent / '.mim' / 'configs' / 'mask2former'
    cfg = Config.fromfile(folder / 'mask2former_r50_8xb2-lsj-50e_coco-panoptic.py')
    head = dict(in_channels=CHANNELS, num_queries=10)
    options = dict(backbone=BACKBONE, panoptic_head=head)
    options['train_cfg'] = dict(num_points=128)
    cfg.merge_from_dict(dict(model=options))
    assert 'custom_imports' not in cfg
    init_default_scope('mmdet')
    model = MODELS.build(cfg.model)

    masks = torch.zeros(2, 64, 96, dtype=torch.uint8)
    masks[0, 10:30, 10:30] = 1
    masks[1, 30:60, 40:80] = 1
    sample = DetDataSample(
        metainfo=dict(
            img_shape=(64, 96),
            ori_shape=(64, 96),
            batch_input_shape=(64, 96),
            pad_shape=(64, 96),
        )
    )
    sample.gt_instances = InstanceData(
        labels=torch.tensor([0, 5]),
        bboxes=torch.tensor([[10.0, 10, 30, 30], [40, 30, 80, 60]]),
        masks=BitmapMasks(masks.numpy(), 64, 96),
    )
    stuff = torch.full((1, 64, 96), 255)
    stuff[:, :20] = 100
    sample.gt_sem_seg = PixelData(sem_seg=stuff)
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    losses = train_one_step(model, [image] * 2, [sample, sample])
    assert 'loss_dice' in losses and 'd0.loss_cls' in losses


def upernet():
    import mmseg
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.structures import PixelData
    from mmseg.registry import MODELS
    from mmseg.structures import SegDataSample

    folder = Path(mmseg.__file__).parent / '.mim' / 'configs' / 'upernet'
    cfg = Config.fromfile(folder / 'upernet_r50_4xb4-80k_ade20k-512x512.py')
    # One process: plain batch norm in place of the synchronized one.
    norm = dict(type='BN', requires_grad=True)
    options = dict(
        pretrained=None,
        backbone=BACKBONE,
        decode_head=dict(in_channels=CHANNELS, channels=32, norm_cfg=norm),
        auxiliary_head=dict(in_channels=CHANNELS[2], channels=16, norm_cfg=norm),
    )
    cfg.merge_from_dict(dict(model=options))
    assert cfg.model.type == 'EncoderDecoder' and 'custom_imports' not in cfg
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)

    shape = dict(img_shape=(64, 96), ori_shape=(64, 96), pad_shape=(64, 96))
    sample = SegDataSample(metainfo=shape)
    sample.gt_sem_seg = PixelData(data=torch.randint(0, 150, (1, 64, 96)))
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    losses = train_one_step(model, [image] * 2, [sample, sample])
    assert 'decode.loss_ce' in losses and 'aux.loss_ce' in losses


if __name__ == '__main__':
    import torch

    torch.manual_seed(0)
    assert 'mmovseg' not in sys.modules
    {'mask2former': mask2former, 'upernet': upernet}[sys.argv[1]]()
    print(f'{sys.argv[1]} trained')
