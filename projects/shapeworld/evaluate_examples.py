"""Evaluate a model with 1, 5 and 20 examples of each class that it has not seen.

    python -m projects.shapeworld.evaluate_examples eovseg_tiny_shapeworld tiny-eovseg

Examples are objects of other drawings with their true masks. One pass over the test set
serves all numbers of examples. Examples make a class seen, so these figures are no
zero-shot ones. The table is Markdown.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmovseg.apis import init_model
from mmovseg.apis.runtime import load_run_config
from mmovseg.command_line import exit_on_error, pick_device, without_log
from mmovseg.models.segmentors import OVSegmentor
from mmovseg.progress import Progress
from mmovseg.shapeworld.drawing import CLASSES, UNSEEN, draw_numbered
from mmovseg.vocabulary import Vocabulary

COLUMNS = tuple(
    f'{kind}/{name}{group}'
    for kind, name in (('panoptic', 'PQ'), ('semantic', 'mIoU'))
    for group in ('_seen', '_unseen')
)
LEAST_PIXELS = 1000  # of a picture 192 pixels wide: one position of CLIP's map
SPLIT = 'clip_val'  # it shows all classes, and no data set is drawn from it
MAX_DRAWINGS = 20000


def draw_examples(
    names: Sequence[str], count: int, *, seed: int, size: int, split: str = SPLIT
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Draw pictures until there are so many examples of every class.

    Args:
        names: The classes.
        count: Examples of each.
        seed: Of the drawings.
        size: Of the pictures.
        split: ``'train'`` draws pictures of seen classes alone.

    Returns:
        Images (BGR) and masks, by class.
    """
    found: dict[str, list] = {name: [] for name in names}
    least = LEAST_PIXELS * (size / 192) ** 2
    for number in itertools.count():
        if all(len(x) >= count for x in found.values()):
            return found
        if number == MAX_DRAWINGS:
            raise ValueError(f'{MAX_DRAWINGS} drawings have no {count} examples each.')
        picture = draw_numbered(seed, split, number, size)
        for index, label in enumerate(picture.labels):
            group = found.get(CLASSES[label])
            mask = picture.segments == index
            if group is not None and len(group) < count and mask.sum() >= least:
                group.append((np.ascontiguousarray(picture.image[..., ::-1]), mask))
    raise AssertionError


@torch.no_grad()
def evaluate(
    model: OVSegmentor,
    loader: Any,
    metrics: Sequence[dict],
    vocabularies: dict[str, Vocabulary],
) -> dict[str, dict[str, float]]:
    """Return the metrics by the title of a vocabulary; they have the same names."""
    texts = {title: model.encode_vocabulary(x) for title, x in vocabularies.items()}
    evaluators = {title: Evaluator(copy.deepcopy(list(metrics))) for title in texts}
    for evaluator in evaluators.values():
        evaluator.dataset_meta = loader.dataset.metainfo
    with Progress(len(loader), 'Examples', 'image') as progress:
        for batch in loader:
            data = model.data_preprocessor(batch, False)
            inputs, samples = data['inputs'], data['data_samples']
            features = model.extract_feat(inputs)
            for title, evaluator in evaluators.items():
                prediction = model.segment(inputs, texts[title], features)[-1]
                size = (inputs.shape[-2], inputs.shape[-1])
                copies = [x.clone() for x in samples]
                evaluator.process(
                    model.fusion(prediction, copies, vocabularies[title], size), batch
                )
            progress.update()
    return {
        title: evaluator.evaluate(len(loader.dataset))
        for title, evaluator in evaluators.items()
    }


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or the name of a packaged one')
    parser.add_argument('checkpoint', help='file, tiny or tiny-eovseg')
    parser.add_argument('--counts', type=int, nargs='+', default=[0, 1, 5, 20])
    parser.add_argument('--seed', type=int, default=31, help='of examples [31]')
    parser.add_argument('--image-size', type=int, default=192, help='of examples [192]')
    parser.add_argument('--num-images', type=int, help='the first ones only [all]')
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    args = parser.parse_args(argv)
    if min(args.counts) < 0:
        parser.error(f'--counts must be at least 0, got {min(args.counts)}.')
    if args.num_images is not None and args.num_images < 1:
        parser.error(f'--num-images must be at least 1, got {args.num_images}.')
    if args.image_size < 32:
        parser.error(f'--image-size must be at least 32, got {args.image_size}.')
    args.device = pick_device(args.device)
    return args


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Evaluate, print and return everything."""
    args = parse_args(argv)
    with exit_on_error(TypeError), without_log():
        config = load_run_config(args.config)
        init_default_scope('mmovseg')
        model = init_model(config, args.checkpoint, args.device)
        loader = config.test_dataloader
        loader.update(num_workers=0, persistent_workers=False, batch_size=1)
        if args.num_images is not None:
            loader.dataset.indices = args.num_images
        drawn = draw_examples(
            UNSEEN, max(args.counts), seed=args.seed, size=args.image_size
        )
        vocabularies = {}
        for count in args.counts:
            vocabulary = model.vocabulary
            for name in UNSEEN if count else ():
                vocabulary = vocabulary.add_examples(name, drawn[name][:count])
            vocabularies[str(count)] = vocabulary
        metrics = [dict(x) for x in config.test_evaluator]
        for metric in metrics:
            metric.pop('classwise', None)
        built = Runner.build_dataloader(loader)
        results = evaluate(model, built, metrics, vocabularies)
    columns = [x for x in COLUMNS if x in next(iter(results.values()))]
    names = [x.split('/')[1].replace('_', ' ') for x in columns]
    print(f'| examples per class | {" | ".join(names)} |')
    print(f'|--:|{"--:|" * len(columns)}')
    for title, row in results.items():
        print(f'| {title} | {" | ".join(f"{row[x]:.1f}" for x in columns)} |')
    return results


if __name__ == '__main__':
    main()
