import pytest
import torch

from mmovseg.analysis.oracle import (
    ORACLES,
    SURE,
    no_void,
    present_names,
    true_masks,
    true_names,
    true_names_and_void,
)
from mmovseg.models.structures import MaskPrediction, MaskTarget


@pytest.fixture
def case():
    """Two segments; three queries: one of each, and one that fits nothing well."""
    masks = torch.zeros(2, 4, 4, dtype=torch.bool)
    masks[0, :, :2] = True  # left, class 1
    masks[1, :, 2:] = True  # right, class 0
    queries = torch.full((1, 3, 4, 4), -SURE)
    queries[0, 0, :, 2:] = SURE  # the right half
    queries[0, 1, :, :2] = SURE  # the left half
    queries[0, 2, 0, 2:] = SURE  # a quarter of the right one
    probs = torch.tensor(
        [[[0.1, 0.2, 0.5, 0.2], [0.6, 0.1, 0.2, 0.1], [0.3] * 3 + [0.1]]]
    )
    return MaskPrediction(probs.log(), queries), MaskTarget(torch.tensor([1, 0]), masks)


def probabilities(prediction):
    return prediction.class_logits.softmax(-1)[0]


def test_every_mask_gets_the_name_of_what_it_fits(case):
    found = probabilities(true_names(*case))
    assert found.argmax(-1).tolist() == [0, 1, 0]
    torch.testing.assert_close(found[:, -1], torch.tensor([0.2, 0.1, 0.1]))


def test_of_several_masks_of_a_segment_the_best_is_no_void(case):
    found = probabilities(true_names_and_void(*case))
    assert found.argmax(-1).tolist() == [0, 1, 3]


def test_true_masks_keep_the_names_of_the_best_masks(case):
    found = true_masks(*case)
    assert torch.equal(found.mask_logits[0] > 0, case[1].masks)
    assert probabilities(found).argmax(-1).tolist() == [0, 2]
    assert (probabilities(found)[:, -1] == 0).all()


def test_absent_names_and_void_leave_the_rest_in_proportion(case):
    found = probabilities(present_names(*case))
    assert (found[:, 2] == 0).all() and (found[:, -1] > 0).all()
    found = probabilities(no_void(*case))
    torch.testing.assert_close(found[0, :3], torch.tensor([0.125, 0.25, 0.625]))


@pytest.mark.parametrize('name', list(ORACLES))
def test_an_image_without_segments(case, name):
    nothing = MaskTarget(torch.zeros(0).long(), torch.zeros(0, 4, 4, dtype=torch.bool))
    found = ORACLES[name](case[0], nothing)
    assert not probabilities(found).isnan().any()
