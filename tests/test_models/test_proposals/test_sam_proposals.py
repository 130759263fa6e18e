"""SAM and SAM 2 on a grid: what they give for each point, filtered."""

import pytest
import torch
from small_networks import SMALL, save_network
from torchvision.ops import box_iou, masks_to_boxes

from mmovseg.models import SamProposals

pytest.importorskip('transformers', reason='its networks are tested')
ALL = dict(pred_iou_thr=-9, stability_thr=-1, nms_thr=1.0, max_masks=1000)


@pytest.mark.parametrize('kind', ['sam', 'sam2'])
def test_masks_are_those_of_the_points(kind, tmp_path, seed):
    network = save_network(tmp_path, kind, None)
    few = dict(points_per_side=3, points_per_batch=4)
    proposals = SamProposals(str(tmp_path), **few, **ALL)
    images = torch.randn(2, 3, 64, 64)
    found = proposals(images)[0]
    steps = (torch.arange(3) + 0.5) * 64 / 3
    points = [[float(x), float(y)] for y in steps for x in steps]
    for image, masks, scores in zip(images, *found[::2], strict=True):
        expected = []
        for point in points:
            with torch.no_grad():
                output = network(
                    pixel_values=image[None],
                    input_points=torch.tensor([[[point]]]),
                    multimask_output=True,
                )
            expected += zip(
                output.iou_scores.flatten(),
                output.pred_masks.flatten(0, 2),
                strict=True,
            )
        # The small network may find nothing at some points.
        expected = [x for x in expected if (x[1] > 0).any()]
        expected.sort(key=lambda x: -x[0])
        count = len(expected)
        assert count > 3
        best = torch.stack([score for score, _ in expected]).clamp(0, 1)
        torch.testing.assert_close(scores[:count, 0], best, atol=1e-4, rtol=1e-3)
        total = torch.stack([mask for _, mask in expected]).sum(0)
        torch.testing.assert_close(masks[:count].sum(0), total, atol=1e-2, rtol=1e-3)
        assert (masks[count:] < 0).all() and not scores[count:].any()


@pytest.mark.parametrize(('kind', 'size'), [('sam', (8, 16)), ('sam2', (16, 16))])
def test_masks_cover_the_image_alone(kind, size, seed):
    proposals = SamProposals(None, architecture=SMALL[kind], points_per_side=2, **ALL)
    assert proposals(torch.randn(1, 3, 48, 96))[0].mask_logits.shape[-2:] == size


def test_masks_that_are_poor_or_repeat_others_are_dropped(seed):
    options = dict(architecture=SMALL['sam2'], points_per_side=4)
    image = torch.randn(1, 3, 64, 64)
    proposals = SamProposals(None, **options, **ALL)
    every = proposals(image)[0]
    middle = every.class_probs.median().item()
    proposals.pred_iou_thr = middle
    assert (proposals(image)[0].class_probs > middle).all()
    proposals.pred_iou_thr, proposals.nms_thr = -9, 0.5
    masks = proposals(image)[0].mask_logits[0]
    assert len(masks) < every.mask_logits.shape[1]
    boxes = masks_to_boxes(masks > 0)
    assert (box_iou(boxes, boxes) - torch.eye(len(boxes))).max() <= 0.5
    proposals.max_masks = 1
    assert proposals(image)[0].mask_logits.shape[1] == 1


def test_an_image_without_masks_is_none(seed):
    proposals = SamProposals(
        None, architecture=SMALL['sam2'], points_per_side=2, pred_iou_thr=9
    )
    found = proposals(torch.randn(1, 3, 64, 64))[0]
    assert (found.mask_logits < 0).all() and not found.class_probs.any()


def test_other_networks_and_numbers_are_refused(tmp_path):
    save_network(tmp_path)
    with pytest.raises(ValueError, match=r"kind 'eomt'.*mask generation"):
        SamProposals(str(tmp_path))
    with pytest.raises(ValueError, match='at least 1, got 0'):
        SamProposals(None, architecture=SMALL['sam2'], points_per_side=0)
