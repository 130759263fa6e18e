import torch

from mmovseg.models.ops import has_size, resize_masks, soft_masks

LOGITS = torch.tensor([[[[-3.0, 1.0], [-3.0, 1.0]]]])


def test_masks_of_the_size_wanted_are_returned_as_they_are():
    assert resize_masks(LOGITS, (2, 2)) is LOGITS
    assert resize_masks(LOGITS, (1, 1)) == -1


def test_soft_masks_are_resized_after_the_sigmoid():
    expected = LOGITS.sigmoid().mean()
    torch.testing.assert_close(soft_masks(LOGITS, (1, 1))[0, 0, 0, 0], expected)


def test_a_graph_compares_sizes_that_hold_for_all_inputs(in_graph):
    assert has_size(LOGITS, (2, 2))
    assert not has_size(LOGITS, (2, 3))
