import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS as ROOT

from mmovseg.models.losses import SemanticMapLoss
from mmovseg.models.structures import MaskPrediction, MaskTarget

VOID = 3


def make_prediction(batch, queries=5, size=4):
    return MaskPrediction(
        (2 * torch.randn(batch, queries, VOID + 1)).requires_grad_(),
        (3 * torch.randn(batch, queries, size, size)).requires_grad_(),
    )


def targets_of(label_maps):
    targets = []
    for label_map in label_maps:
        labels = torch.tensor([x for x in label_map.unique().tolist() if x < VOID])
        labels = labels.long()
        targets.append(MaskTarget(labels, label_map == labels[:, None, None]))
    return targets


def test_built_from_numbers():
    loss = ROOT.build(dict(type='mmovseg.SemanticMapLoss', sharpness=5.0))
    assert (loss.focal_weight, loss.dice_weight, loss.sharpness) == (2.0, 0.8, 5.0)


@torch.no_grad()
def test_equals_a_loop_over_pixels(seed):
    prediction = make_prediction(2)
    labels = torch.randint(VOID + 1, (2, 6, 8))
    loss = SemanticMapLoss(1.0, 1.0, sharpness=2.0, alpha=0.3, gamma=1.5)
    losses = loss([prediction], targets_of(labels))

    focal = dice = 0.0
    for class_logits, mask_logits, label_map in zip(
        *prediction[:2], labels, strict=True
    ):
        masks = F.interpolate(mask_logits[None], (6, 8), mode='bilinear')[0].sigmoid()
        overlap = total = 0.0
        for row in range(6):
            for column in range(8):
                scores = class_logits.softmax(-1).T @ masks[:, row, column]
                for label, y in enumerate((2 * scores - 2).sigmoid().tolist()):
                    right = label == label_map[row, column]
                    p, weight = (y, 0.3) if right else (1 - y, 0.7)
                    log = torch.tensor(p).clamp(1e-4, 1 - 1e-4).log()
                    focal -= weight * (1 - p) ** 1.5 * log / (2 * (VOID + 1) * 48)
                    if label < VOID:
                        overlap += y * right
                        total += y + right
        dice += (1 - (2 * overlap + 1) / (total + 1)) / 2
    torch.testing.assert_close(losses['loss_focal'], torch.as_tensor(focal))
    torch.testing.assert_close(losses['loss_dice'], torch.as_tensor(dice))


def test_only_the_last_stage_counts_and_weights_apply(seed):
    stages = [make_prediction(1) for _ in range(2)]
    targets = targets_of(torch.randint(VOID + 1, (1, 8, 8)))
    plain = SemanticMapLoss(1.0, 1.0)(stages, targets)
    alone = SemanticMapLoss(3.0, 5.0)(stages[1:], targets)
    torch.testing.assert_close(alone['loss_focal'], 3 * plain['loss_focal'])
    torch.testing.assert_close(alone['loss_dice'], 5 * plain['loss_dice'])


def test_pixels_without_target_are_void_and_the_first_of_overlapping_masks_counts():
    masks = torch.zeros(2, 1, 4, dtype=torch.bool)
    masks[0, 0, :2] = masks[1, 0, 1:3] = True
    empty = MaskTarget(torch.zeros(0).long(), masks[:0])
    both = MaskTarget(torch.tensor([2, 0]), masks)
    maps = SemanticMapLoss.label_maps([both, empty], VOID)
    assert maps.tolist() == [[[2, 2, 0, 3]], [[3, 3, 3, 3]]]


def test_certain_wrong_answers_have_a_bounded_loss():
    """100 masks that all name the wrong class: the logarithm stops at 1e-4."""
    class_logits = torch.tensor([100.0, 0, 0, 0]).expand(1, 100, 4)
    prediction = MaskPrediction(class_logits, torch.full((1, 100, 2, 2), 50.0))
    label_map = torch.full((1, 8, 8), 1)
    loss = SemanticMapLoss(1.0, 1.0)([prediction], targets_of(label_map))
    right, wrong = torch.tensor(-3.0).sigmoid(), torch.tensor(1e-4)
    expected = 0.75 * -wrong.log() - 0.25 * (1 - right) ** 2 * right.log()
    expected = expected - 2 * 0.75 * right**2 * (1 - right).log()
    torch.testing.assert_close(loss['loss_focal'], expected / 4)


@pytest.mark.parametrize('known', [True, False])
def test_images_without_target_train(seed, known):
    prediction = make_prediction(2)
    labels = torch.full((2, 8, 8), VOID)
    labels[0, :4] = 1 if known else VOID
    losses = SemanticMapLoss()([prediction], targets_of(labels))
    sum(losses.values()).backward()
    for part in prediction[:2]:
        assert part.grad.isfinite().all() and part.grad.any()


def test_gradient_descent_learns_the_labels(seed):
    labels = torch.full((1, 8, 8), VOID)
    labels[0, :4], labels[0, 4:, 4:] = 0, 2
    prediction, targets = make_prediction(1), targets_of(labels)
    optimizer = torch.optim.Adam(prediction[:2], lr=0.2)
    for _ in range(80):
        optimizer.zero_grad()
        sum(SemanticMapLoss()([prediction], targets).values()).backward()
        optimizer.step()
    maps = SemanticMapLoss().class_maps(prediction, (8, 8))
    assert (maps.argmax(1) == labels).float().mean() > 0.9


def test_autocast_and_half_precision_give_float32(seed):
    prediction = make_prediction(1)
    targets = targets_of(torch.randint(VOID + 1, (1, 8, 8)))
    plain = SemanticMapLoss()([prediction], targets)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = SemanticMapLoss()([prediction], targets)
    assert all(torch.equal(mixed[name], plain[name]) for name in plain)
    half = MaskPrediction(*(part.half() for part in prediction[:2]))
    for loss in SemanticMapLoss()([half], targets).values():
        assert loss.dtype == torch.float32 and loss.isfinite()


def test_numbers_and_targets_are_checked(seed):
    with pytest.raises(ValueError, match=r'alpha must be in \[0, 1\], got 2'):
        SemanticMapLoss(alpha=2)
    with pytest.raises(ValueError, match='0 targets for 2 images'):
        SemanticMapLoss()([make_prediction(2)], [])
