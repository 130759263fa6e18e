"""The cases of bench.py, and the process that runs them with the package of a tree.

A case returns a function to time. It uses only what both trees have: names of configs,
``init_model``, the inferencer, the registries and the methods of OpenMMLab's classes.
"""

import json
import os
import resource
import subprocess
import sys
import time
import traceback
from pathlib import Path
from types import SimpleNamespace


def build(config, classes=None):
    """Build a model with random weights; random rows stand for its text."""
    import torch
    import torch.nn.functional as F
    from mmengine.registry import init_default_scope

    from mmovseg.apis import load_config
    from mmovseg.apis.config import without_downloads
    from mmovseg.models.structures import TextEmbeddings
    from mmovseg.registry import MODELS

    cfg = load_config(config)
    init_default_scope('mmovseg')
    torch.manual_seed(0)
    model = MODELS.build(without_downloads(cfg.model)).eval()
    if classes is not None:
        model.set_vocabulary(make_vocabulary(classes))

    def encode(vocabulary):
        weight = torch.randn(len(vocabulary) + 1, model.text_classifier.embed_dims)
        ids = torch.arange(len(vocabulary) + 1)
        return TextEmbeddings(F.normalize(weight, dim=-1), ids, len(vocabulary))

    known = encode(model.vocabulary)
    trained = encode(model.train_vocabulary)
    model.text_classifier.forward = lambda vocabulary: (
        trained if vocabulary == model.train_vocabulary else known
    )
    return SimpleNamespace(model=model, cfg=cfg, text=known)


def make_vocabulary(classes, prefix='class'):
    from mmovseg.vocabulary import Vocabulary

    names = tuple((f'{prefix} {index}',) for index in range(classes))
    return Vocabulary(names, tuple(index % 3 > 0 for index in range(classes)))


def segment(config, height, width, classes=150):
    """Time a model from the padded batch to the scores of its masks."""
    import torch

    built = build(config, classes)
    inputs = torch.randn(1, 3, height, width)

    def run():
        with torch.no_grad():
            built.model.segment(inputs, built.text)

    return run


def fuse(classes, semantic):
    """Time the fusion of 100 masks that overlap, as ellipses do."""
    import torch

    from mmovseg.models.structures import MaskPrediction

    model = build('eovseg_tiny_shapeworld', classes).model
    model.fusion.semantic = semantic
    generator = torch.Generator().manual_seed(0)
    y, x, tall, wide = torch.rand(4, 100, 1, 1, generator=generator)
    rows = torch.linspace(0, 1, 160).view(-1, 1)
    columns = torch.linspace(0, 1, 240)
    distance = ((rows - y) / (0.1 + 0.3 * tall)) ** 2
    distance = distance + ((columns - x) / (0.1 + 0.3 * wide)) ** 2
    masks = (10 * (1 - distance)).clamp(-10, 10)[None]
    logits = 12 * torch.randn(1, 100, classes + 1, generator=generator)
    prediction = MaskPrediction(logits, masks)
    vocabulary = make_vocabulary(classes)

    def run():
        with torch.no_grad():
            model.fusion(prediction, None, vocabulary, (640, 960))

    return run


def encode_text():
    """Time names that no cache knows."""
    from mmovseg.apis import init_model

    model = init_model('eovseg_tiny_shapeworld', 'shapeworld', 'cpu')
    model.text_classifier.cache_dir = None
    numbers = iter(range(10**9))

    def run():
        model.text_classifier(make_vocabulary(20, f'round {next(numbers)} thing'))

    return run


def photos():
    """Time the inferencer: from arrays to results as plain values."""
    import numpy as np

    from mmovseg.apis import OVSegInferencer, init_model

    model = init_model('eovseg_tiny_shapeworld', 'shapeworld', 'cpu')
    inferencer = OVSegInferencer(model, show_progress=False, num_workers=1)
    rng = np.random.RandomState(0)
    images = [rng.randint(0, 256, (192, 192, 3), np.uint8) for _ in range(4)]
    return lambda: inferencer(images, 2)


def read_data():
    """Time COCO's training pipeline on drawn pictures."""
    import numpy as np

    from mmovseg.apis import load_config
    from mmovseg.registry import DATASETS

    build('eovseg_tiny_shapeworld')
    loader = load_config('eovseg_tiny_shapeworld').train_dataloader
    pipeline = load_config('eovseg_r50_coco').train_dataloader.dataset.pipeline
    dataset = DATASETS.build(dict(loader.dataset, pipeline=pipeline))

    def run():
        import random

        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 (what mmcv draws from)
        for index in range(8):
            dataset[index]

    return run


def train():
    """Time a step of the tiny model, without its update."""
    import torch

    from mmovseg.registry import DATASETS

    built = build('eovseg_tiny_shapeworld')
    model = built.model.train()
    dataset = DATASETS.build(built.cfg.train_dataloader.dataset)
    items = [dataset[index] for index in range(2)]

    def run():
        torch.manual_seed(0)
        batch = {key: [item[key] for item in items] for key in items[0]}
        batch = model.data_preprocessor(batch, training=True)
        loss, _ = model.parse_losses(model(**batch, mode='loss'))
        loss.backward()

    return run


def evaluate():
    """Time the metrics on the results of a tiny model."""
    import copy

    import torch
    from mmengine.evaluator import Evaluator
    from mmengine.logging import MMLogger

    from mmovseg.apis import init_model, load_config
    from mmovseg.registry import DATASETS

    MMLogger.get_current_instance().setLevel('ERROR')
    cfg = load_config('eovseg_tiny_shapeworld')
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld', 'cpu')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    model.set_vocabulary(model.vocabulary)
    items = [dataset[index] for index in range(8)]
    with torch.no_grad():
        samples = [
            model.test_step({key: [value] for key, value in item.items()})[0]
            for item in items
        ]
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo

    def run():
        for sample in copy.deepcopy(samples):
            evaluator.process([sample], None)
        evaluator.evaluate(len(samples))

    return run


def start():
    """Time a fresh process that imports what inference needs."""
    code = 'from mmovseg.apis import OVSegInferencer'
    command = [sys.executable, '-W', 'ignore', '-c', code]
    return lambda: subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


CASES = {
    'eovseg-s': lambda: segment('eovseg_r50_zs-ade20k', 256, 384),
    'eovseg-s-847': lambda: segment('eovseg_r50_zs-ade20k', 256, 384, 847),
    'deop-b16': lambda: segment('deop_vit-b16_zs-ade20k-150', 256, 352),
    'fusion-150': lambda: fuse(150, semantic=False),
    'fusion-847': lambda: fuse(847, semantic=True),
    'photos': photos,
    'text': encode_text,
    'data': read_data,
    'training': train,
    'metrics': evaluate,
    'start': start,
}


def cpu_seconds():
    """Return CPU seconds of this process, its threads and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def serve(answers):
    """Prepare, run and forget cases, as the lines of the standard input ask for."""
    ready = {}
    for line in sys.stdin:
        command, name = line.split()
        answer = {}
        try:
            if command == 'prepare':
                ready[name] = CASES[name]()
                for _ in range(2):
                    ready[name]()
            elif command == 'run':
                cpu, wall = cpu_seconds(), time.perf_counter()
                ready[name]()
                wall = time.perf_counter() - wall
                answer = dict(cpu=cpu_seconds() - cpu, wall=wall)
            else:
                del ready[name]
        except Exception as error:  # the other cases can be timed all the same
            traceback.print_exc()
            answer = dict(error=f'{type(error).__name__}: {error}'.splitlines()[0])
        print(json.dumps(answer), file=answers, flush=True)


def main():
    tree = Path(sys.argv[1]).resolve()
    sys.path[0] = str(tree)  # not the folder of this file
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # what a library prints is no answer
    import torch

    import mmovseg

    found = Path(mmovseg.__file__).resolve()
    assert found.is_relative_to(tree), f'{found} is not of {tree}'
    torch.set_num_threads(int(os.environ['OMP_NUM_THREADS']))
    serve(answers)


if __name__ == '__main__':
    main()
