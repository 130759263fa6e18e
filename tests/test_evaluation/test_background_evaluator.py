import threading

import pytest
from mmengine.evaluator import BaseMetric

from mmovseg.evaluation.background_evaluator import BackgroundEvaluator
from mmovseg.registry import EVALUATOR


class Concatenation(BaseMetric):
    """Refuse the number 13; with ``go`` wait for it."""

    go = None

    def process(self, data_batch, data_samples):
        if self.go is not None:
            assert self.go.wait(60)
        if 13 in data_samples:
            raise ValueError('unlucky')
        self.results += data_samples

    def compute_metrics(self, results):
        return dict(text=''.join(str(x) for x in results))


def test_batches_are_processed_beside_the_caller_and_in_order():
    metric = Concatenation()
    metric.go = threading.Event()
    evaluator = EVALUATOR.build(dict(type='BackgroundEvaluator', metrics=[metric]))
    assert isinstance(evaluator, BackgroundEvaluator)
    evaluator.dataset_meta = dict(classes=['a'])
    assert metric.dataset_meta == dict(classes=['a'])
    evaluator.process([1, 2], None)
    evaluator.process([3], None)
    assert metric.results == []
    metric.go.set()
    assert evaluator.evaluate(3) == dict(text='123')
    evaluator.process([4], None)  # once more
    assert evaluator.evaluate(1) == dict(text='4')


def test_an_error_of_a_metric_is_raised():
    evaluator = BackgroundEvaluator(Concatenation())
    with pytest.raises(ValueError, match='unlucky'):
        evaluator.process([13], None)  # raises if the thread is that fast
        evaluator.evaluate(1)
