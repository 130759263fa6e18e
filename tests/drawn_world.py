"""A small ShapeWorld on disk, for tests that evaluate."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[1] / 'tools' / 'dataset_converters' / 'make_shapeworld.py'


def draw_world(root, num_val=2, size=96, seed=0):
    """Draw pictures below ``root``, which is then the folder of all data sets."""
    spec = importlib.util.spec_from_file_location('make_shapeworld', PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = dict(num_train=1, num_val=num_val, image_size=size, seed=seed)
    words = [f'--{key.replace("_", "-")}={value}' for key, value in options.items()]
    module.main(['--out', str(root / 'shapeworld'), *words])
    return root


def load_world(root, monkeypatch, config='eovseg_tiny_shapeworld'):
    """Return the config and the test loader of a drawn world."""
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner

    from mmovseg.apis.runtime import load_run_config

    init_default_scope('mmovseg')
    monkeypatch.setenv('MMOVSEG_DATA', str(root))
    cfg = load_run_config(config)
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False, batch_size=1)
    return cfg, Runner.build_dataloader(cfg.test_dataloader)
