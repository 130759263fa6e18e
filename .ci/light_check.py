"""What works without mmcv, mmdet and mmseg; light.py runs it in such an environment."""

import importlib.util
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

import mmovseg
from mmovseg.apis import OVSegInferencer, load_config
from mmovseg.shapeworld.drawing import draw_numbered

TESTS = Path(__file__).resolve().parents[1] / 'tests'
MIM = Path(mmovseg.__file__).parent / '.mim'
STAGES = ('PromptClassifier', 'ZeroShotMaskFormer')  # of DeOP's training


def run(script, *options, expect=0):
    """Run a script of the wheel; return what it printed."""
    command = [sys.executable, MIM / script, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode == expect, f'{script} ended with {done.returncode}:\n{text}'
    return text


def draw():
    """Draw a photo whose classes the packaged model knows."""
    return draw_numbered(20, 'val', 0).image[..., ::-1].copy()


def check_environment():
    """Fail if the environment is not the one to check."""
    for name in ('mmcv', 'mmdet', 'mmseg'):
        assert importlib.util.find_spec(name) is None, f'{name} is installed'
    assert 'site-packages' in mmovseg.__file__, mmovseg.__file__


def check_packaged_model(photo):
    """Segment a drawing with the packaged weights."""
    inferencer = OVSegInferencer(
        'eovseg_tiny_shapeworld', 'shapeworld', show_progress=False, device='cpu'
    )
    for task in ('panoptic', 'instance', 'semantic'):
        [result] = inferencer(photo, task=task, return_vis=True)['predictions']
        assert len(result['segments']) > 2, result
    text = run('demo/image_demo.py', '--out-dir', 'demo', '--device', 'cpu')
    assert 'segments (' in text, text


def list_models():
    """Yield configs of the wheel whose small models or pipelines differ."""
    sys.path.insert(0, str(TESTS))
    from small_models import made_small

    seen = set()
    for path in sorted((MIM / 'configs').rglob('*.py')):
        if '_base_' in path.parts:
            continue
        cfg = load_config(path)
        cfg.model = made_small(cfg.model)
        model = {k: v for k, v in cfg.model.items() if not k.endswith('vocabulary')}
        loader = cfg.get('test_dataloader') or {}
        key = str(model) + str(loader.get('dataset', {}).get('pipeline'))
        if key not in seen:
            seen.add(key)
            yield path.stem, cfg


def check_every_model(photo, at_least, *, training_free=False):
    """Segment with every config, its model made small and random.

    Training-free models are made of networks of transformers, an extra.
    """
    done = 0
    for name, cfg in list_models():
        if (cfg.model.type == 'TrainingFreeSegmentor') != training_free:
            continue
        # The only one that is made of a part of mmdet.
        if 'mmdet.' in str(cfg.model) or cfg.model.type in STAGES:
            continue
        inferencer = OVSegInferencer(
            cfg,
            show_progress=False,
            device='cpu',
            cfg_options=small_photos(cfg),
            vocabulary='circle, stuff: grass',  # few names, which take no time
        )
        result = inferencer(photo, task='semantic')
        assert not result['errors'], (name, result)
        assert result['predictions'][0]['segments'], name
        done += 1
    assert done > at_least, done
    print(f'{done} different models of the packaged configs segment a photo.')


def small_photos(cfg):
    """Return options that keep the photo small, through the config's own transforms."""
    pipeline = Config(dict(p=cfg.test_dataloader.dataset.pipeline)).p
    for transform in pipeline:
        if transform.type == 'Resize':
            transform.scale = (96, 64)
        elif transform.type == 'ResizeShortestEdge':
            transform.update(scale=64, max_size=96)
    return {'test_pipeline': pipeline}


def check_training():
    """Training and evaluation say what to install."""
    for tool, more in (('train', ()), ('test', ('shapeworld',))):
        options = ['eovseg_tiny_shapeworld', *more]
        text = run(f'tools/{tool}.py', *options, expect=1)
        line = text.strip().splitlines()[-1]
        assert line.startswith('error: Training and evaluation need mmcv'), text
        assert "pip install 'mmovseg[openmmlab]'" in line, text
    print(line)


def export(file):
    """Export the packaged model and compare the file with it."""
    model = ['eovseg_tiny_shapeworld', '--checkpoint', 'shapeworld']
    text = run('tools/deployment/export.py', model[0], file, *model[1:], '--check')
    assert 'equals the model' in text, text
    print(text.strip().splitlines()[-1])


def main(*options):
    warnings.simplefilter('ignore')
    torch.manual_seed(0)
    check_environment()
    photo = np.ascontiguousarray(draw())
    if '--extras' in options:
        export('model.onnx')
        check_every_model(photo, 3, training_free=True)
        return
    check_packaged_model(photo)
    check_every_model(photo, 15)
    check_training()
    export('model.pt2')


if __name__ == '__main__':
    main(*sys.argv[1:])
