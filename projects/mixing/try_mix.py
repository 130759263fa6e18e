"""Train a step of a mix on random data, and predict, in a process free of mmovseg.

The config alone must be enough, so nothing of mmovseg is imported here.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any

SIZE = (64, 96)


def make_batch(num_images: int = 2, num_classes: int = 5) -> dict[str, list]:
    """Return noise with two things and one stuff, for models of mmseg and mmdet.

    Args:
        num_images: Images of the batch.
        num_classes: The last class is stuff, the first two have things.
    """
    import numpy as np
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData, PixelData

    masks = np.zeros((2, *SIZE), np.uint8)
    masks[0, 8:40, 8:40] = 1
    masks[1, 20:60, 50:90] = 1
    boxes = torch.tensor([[8.0, 8, 40, 40], [50, 20, 90, 60]])
    stuff = torch.full((1, *SIZE), num_classes - 1)
    label_map = stuff.clone()
    for label, mask in enumerate(masks):
        label_map[0, torch.from_numpy(mask).bool()] = label
    meta = dict(img_shape=SIZE, ori_shape=SIZE, pad_shape=SIZE)
    meta.update(batch_input_shape=SIZE, scale_factor=(1.0, 1.0), img_id=0)
    samples = []
    for _ in range(num_images):
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            labels=torch.tensor([0, 1]),
            bboxes=boxes,
            masks=BitmapMasks(masks, *SIZE),
        )
        # mmseg reads `data`, mmdet `sem_seg`.
        sample.gt_sem_seg = PixelData(data=label_map, sem_seg=label_map)
        samples.append(sample)
    images = [
        torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8) for _ in range(num_images)
    ]
    return dict(inputs=images, data_samples=samples)


def try_mix(path: str | Path) -> dict[str, Any]:
    """Build the model of a config, train a step, predict.

    Args:
        path: The config.

    Returns:
        ``losses`` by name; ``trained`` and ``frozen``: names of the weights that the
        step has changed and has not; ``results``: names of what is predicted.
    """
    import copy

    import torch
    from mmengine.config import Config
    from mmengine.optim import OptimWrapper
    from mmengine.registry import MODELS, init_default_scope

    torch.manual_seed(0)
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    if parts := cfg.get('from_checkpoint', ()):  # which there is not
        for part in parts:
            for parameter in model.get_submodule(part).parameters():
                torch.nn.init.normal_(parameter, std=0.02)
    else:
        model.init_weights()
    batch = make_batch()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = OptimWrapper(torch.optim.AdamW(trained, lr=1e-3))
    losses = model.train().train_step(copy.deepcopy(batch), optimizer)
    after = model.state_dict()
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    with torch.no_grad():
        [result, _] = model.eval().test_step(copy.deepcopy(batch))
    return dict(
        losses={name: value.item() for name, value in losses.items()},
        trained=changed,
        frozen=[name for name in after if name not in changed],
        results=[name for name in result.keys() if name.startswith('pred')],  # noqa: SIM118
    )


def main() -> int:
    """Try the mixes of the command line, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', type=Path)
    args = parser.parse_args()
    if 'mmovseg' in sys.modules:
        raise RuntimeError('mmovseg is imported, so nothing would be shown.')
    failed = False
    for path in args.configs:
        try:
            found = try_mix(path)
        except Exception:  # the others are tried all the same
            found, failed = dict(error=traceback.format_exc()), True
        print(json.dumps(dict(config=path.stem, **found)), flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
