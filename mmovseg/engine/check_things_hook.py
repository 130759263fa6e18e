"""Refuse to train on classes that the model would never learn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmovseg.registry import HOOKS


@HOOKS.register_module()
class CheckThingsHook(Hook):
    """Compare what dataset and model take for things, before training starts.

    A class that is stuff in the dataset and a thing in ``train_vocabulary`` has no
    instances, and the model skips it in the semantic map: it is never learned. Datasets
    without thing flags, and pipelines without masks, are not concerned.
    """

    def before_train(self, runner: Runner) -> None:
        """Check every dataset inside of the training dataset.

        Raises:
            ValueError: If a class is a thing on one side only.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        vocabulary = getattr(model, 'train_vocabulary', None)
        if vocabulary is None:
            return
        for dataset in _unwrap(runner.train_dataloader.dataset):
            transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
            has_masks = any(getattr(x, 'with_mask', False) for x in transforms)
            if has_masks and hasattr(dataset, 'check_vocabulary'):
                dataset.check_vocabulary(vocabulary)


def _unwrap(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside of wrappers such as ConcatDataset."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from _unwrap(part)
