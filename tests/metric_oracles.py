"""Slow metrics, written from their definitions pixel by pixel, to compare with."""

from collections import Counter

import numpy as np


def slow_panoptic_quality(annotations, is_thing):
    """Compute PQ by the definition, segment by segment.

    Args:
        annotations: Per image a list of (mask, label, is_crowd) of the ground truth,
            a list of (mask, label) of the prediction, and the size; the rest is void.
        is_thing: Per class.
    """
    sums = {label: [0.0, 0, 0, 0] for label in range(len(is_thing))}
    for truth, guess, size in annotations:
        void = ~np.any([np.zeros(size, bool)] + [mask for mask, _, _ in truth], 0)
        matched = set()
        for mask, label, crowd in truth:
            if crowd:
                continue
            partner = None
            for index, (other, other_label) in enumerate(guess):
                union = (mask | (other & ~void)).sum()
                iou = (mask & other).sum() / union
                if other_label == label and iou > 0.5:
                    assert partner is None
                    assert index not in matched
                    partner = index
                    sums[label][0] += iou
                    sums[label][1] += 1
            matched.add(partner)
            sums[label][3] += partner is None
        for index, (mask, label) in enumerate(guess):
            excused = void.copy()
            for other, other_label, crowd in truth:
                if crowd and other_label == label:
                    excused |= other
            ignored = (mask & excused).sum() / mask.sum() > 0.5
            sums[label][2] += index not in matched and not ignored
    groups = {
        '': lambda label: True,
        '_th': lambda label: is_thing[label],
        '_st': lambda label: not is_thing[label],
    }
    result = {}
    for suffix, belongs in groups.items():
        rows = []
        for label, (iou, tp, fp, fn) in sums.items():
            weight = tp + fp / 2 + fn / 2
            if weight and belongs(label):
                rows.append((iou / weight, iou / tp if tp else 0, tp / weight))
        for name, values in zip(
            ('PQ', 'SQ', 'RQ'), zip(*rows, strict=True), strict=False
        ):
            result[name + suffix] = 100 * sum(values) / len(values)
    return result


def slow_semantic_scores(images, num_classes, ignore_index, seen):
    """Compute both mIoUs and pAcc, pixel by pixel.

    Args:
        images: Pairs of lists: predicted and annotated value of every pixel.
        num_classes: K; other annotated values do not count.
        ignore_index: A value that does not count either.
        seen: Classes seen in training.
    """
    correct, predicted, annotated = Counter(), Counter(), Counter()
    for guesses, truths in images:
        for guess, truth in zip(guesses, truths, strict=True):
            if truth == ignore_index or not 0 <= truth < num_classes:
                continue
            annotated[truth] += 1
            if 0 <= guess < num_classes:
                predicted[guess] += 1
            correct[truth] += guess == truth

    def mean_iou(classes):
        rows = [
            correct[c] / (predicted[c] + annotated[c] - correct[c]) for c in classes
        ]
        return 100 * sum(rows) / len(rows) if rows else np.nan

    total = sum(annotated.values())
    occurring = set(predicted) | set(annotated)
    result = {
        'mIoU': mean_iou(sorted(annotated)),
        'mIoU_union': mean_iou(sorted(occurring)),
        'pAcc': 100 * sum(correct.values()) / total if total else np.nan,
        'mIoU_seen': mean_iou(sorted(occurring & seen)),
        'mIoU_unseen': mean_iou(sorted(occurring - seen)),
    }
    pair = result['mIoU_seen'], result['mIoU_unseen']
    result['hIoU'] = 2 * pair[0] * pair[1] / sum(pair) if any(pair) else 0
    return result


def slow_recall(images, num_classes, threshold):
    """Compute the share of class masks that a proposal covers.

    Args:
        images: Proposals as lists of sets of pixels, and a list of the class of every
            pixel; other values are unlabeled.
        num_classes: K.
        threshold: IoU to exceed.
    """
    hits = masks = 0
    for proposals, truths in images:
        labeled = {i for i, truth in enumerate(truths) if 0 <= truth < num_classes}
        for label in {truths[i] for i in labeled}:
            mask = {i for i in labeled if truths[i] == label}
            masks += 1
            hits += any(
                len(mask & proposal) / len(mask | (proposal & labeled)) > threshold
                for proposal in proposals
            )
    return 100 * hits / masks if masks else np.nan


def slow_average_precision(truths, guesses, categories, max_per_image=100):
    """Compute COCO's AP over IoU 0.50 to 0.95, detection by detection.

    Args:
        truths: (image, category, set of pixels, is_crowd).
        guesses: (image, category, set of pixels, score), the order breaks ties.
        categories: All of them.
        max_per_image: Best detections of a category and an image that count.

    Returns:
        Mean over categories with a truth that is no crowd; nan without one.
    """
    values = []
    for category in categories:
        real = [t for t in truths if t[1] == category]
        count = sum(not crowd for *_, crowd in real)
        if not count:
            continue
        ranked = []
        for image in sorted({g[0] for g in guesses}):
            mine = [g for g in guesses if g[:2] == (image, category)]
            ranked += sorted(mine, key=lambda g: -g[3])[:max_per_image]
        for step in range(10):
            outcome = _match(real, ranked, 0.5 + 0.05 * step)
            order = sorted(range(len(ranked)), key=lambda i: -ranked[i][3])
            outcome = [outcome[i] for i in order if outcome[i] is not None]
            values.append(_interpolate(outcome, count))
    return sum(values) / len(values) if values else np.nan


def _match(truths, ranked, threshold):
    """Say of each detection whether it is right, wrong (bools), or excused (None)."""
    taken, outcome = set(), []
    for image, _, pixels, _ in ranked:
        best, partner, excused = threshold - 1e-10, None, False
        for index, (other, _, mask, crowd) in enumerate(truths):
            if other != image:
                continue
            whole = len(pixels) if crowd else len(pixels | mask)
            iou = len(pixels & mask) / whole if whole else 0
            if crowd:
                excused |= iou >= threshold - 1e-10
            # The last of several equals.
            elif index not in taken and iou >= best:
                best, partner = iou, index
        if partner is not None:
            taken.add(partner)
            outcome.append(True)
        else:
            outcome.append(None if excused else False)
    return outcome


def _interpolate(outcome, count):
    """Average the best precision at 101 recalls."""
    points, right = [], 0
    for number, hit in enumerate(outcome, 1):
        right += hit
        points.append((right / count, right / number))
    levels = np.linspace(0, 1, 101)
    return np.mean(
        [max((p for r, p in points if r >= level), default=0) for level in levels]
    )
