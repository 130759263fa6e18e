from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from panoptic_files import dataset_config, segment, write_dataset

from mmovseg.datasets import PanopticDataset
from mmovseg.engine import CheckThingsHook
from mmovseg.vocabulary import Vocabulary

NAMES = ['stuff: wall', 'thing: dog', 'stuff: sky', 'thing: kite']


@pytest.fixture
def root(tmp_path):
    ids = np.array([[5, 5, 6]])
    write_dataset(tmp_path, {'a': (ids, [segment(5, 7), segment(6, 3)])})
    return tmp_path


def start(root, names, wrap=lambda dataset: dataset, **options):
    pipeline = [{'type': 'mmovseg.LoadPanopticAnnotations', **options}]
    dataset = wrap(PanopticDataset(**dataset_config(root, pipeline)))
    model = SimpleNamespace(train_vocabulary=Vocabulary.load(names))
    loader = SimpleNamespace(dataset=dataset)
    CheckThingsHook().before_train(
        SimpleNamespace(model=model, train_dataloader=loader)
    )


WRAPPERS = [
    lambda dataset: dataset,
    lambda dataset: RepeatDataset(dataset, 2),
    lambda dataset: ConcatDataset([dataset, dataset]),
]


@pytest.mark.parametrize('wrap', WRAPPERS)
def test_stuff_that_is_a_thing_in_the_vocabulary_is_refused(root, wrap):
    start(root, NAMES, wrap)
    with pytest.raises(ValueError, match=r"Label 0 is 'wall' \(stuff\).*a thing"):
        start(root, ['thing: wall', *NAMES[1:]], wrap)
    with pytest.raises(ValueError, match=r"Label 1 is 'dog' \(a thing\).*stuff"):
        start(root, [NAMES[0], 'stuff: dog', *NAMES[2:]], wrap)


def test_without_masks_flags_do_not_matter(root):
    """As in zero-shot training on label maps, where only some classes are seen."""
    start(root, ['thing: wall'], with_mask=False)
