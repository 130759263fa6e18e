"""STQ and VPQ against their definitions as slow loops."""

import math

import numpy as np
import pytest

from mmovseg.evaluation.video_quality import VideoQuality

IS_THING = (True, True, False, False)
CLASSES = range(len(IS_THING))


def draw(rng, frames, changes):
    """Draw videos of ids, whose class is known, and of predictions like them."""
    labels = {0: 0, 1: 0, 2: 1, 3: 2, 4: 3}  # 9 has none
    video = []
    truth = rng.choice([0, 1, 2, 3, 4, 9], (5, 6))
    for _ in range(frames):
        truth = truth.copy()
        truth[rng.integers(5), rng.integers(6)] = rng.integers(5)
        guess = np.where(
            rng.random((5, 6)) < changes, rng.integers(0, 7, (5, 6)), truth
        )
        # Ids 5 and 6 are more things; the class of 2 comes and goes.
        found = {**labels, 5: 1, 6: 0, 2: int(rng.integers(0, 2))}
        video.append((truth, labels, guess, found))
    return video


def list_pixels(video):
    """Yield frame, place, and (track, class) of truth and prediction; None for none."""
    for t, (truth, labels, guess, found) in enumerate(video):
        for place in np.ndindex(truth.shape):
            a, b = int(truth[place]), int(guess[place])
            left = (a, labels[a]) if a in labels else None
            right = (b, found[b]) if b in found else None
            yield t, place, left, right


def slow_stq(videos):
    """Association by the sum over pairs of tracks, segmentation by sets of pixels."""
    sets = {c: (set(), set()) for c in CLASSES}
    tracks = []
    for number, video in enumerate(videos):
        truths, guesses = {}, {}
        for t, place, left, right in list_pixels(video):
            if left is None:
                continue
            pixel = (number, t, place)
            sets[left[1]][0].add(pixel)
            if right is not None:
                sets[right[1]][1].add(pixel)
            if IS_THING[left[1]]:
                truths.setdefault(left[0], set()).add(pixel)
            if right is not None and IS_THING[right[1]]:
                guesses.setdefault(right[0], set()).add(pixel)
        for g in truths.values():
            total = sum(len(p & g) * len(p & g) / len(p | g) for p in guesses.values())
            tracks.append(total / len(g))
    ious = [len(a & b) / len(a | b) for a, b in sets.values() if a | b]
    aq, sq = np.mean(tracks), np.mean(ious)
    return dict(STQ=100 * math.sqrt(aq * sq), AQ=100 * aq, SQ=100 * sq)


def slow_vpq(videos, k):
    sums = {c: [0.0, 0.0] for c in CLASSES}
    for video in videos:
        for start in range(len(video) - k + 1):
            truths, guesses, void = {}, {}, set()
            for t, place, left, right in list_pixels(video[start : start + k]):
                pixel = (t, place)
                if left is None:
                    void.add(pixel)
                else:
                    truths.setdefault(left, set()).add(pixel)
                if right is not None:
                    guesses.setdefault(right, set()).add(pixel)
            used = set()
            for left, g in truths.items():
                found = 0.0
                for right, p in guesses.items():
                    iou = len(p & g) / len((p - void) | g)
                    if left[1] == right[1] and iou > 0.5:
                        found, used = iou, used | {right}
                sums[left[1]][0] += found
                sums[left[1]][1] += 1 if found else 0.5
            for right, p in guesses.items():
                if right not in used and 2 * len(p & void) <= len(p):
                    sums[right[1]][1] += 0.5
    return 100 * np.mean([iou / n for iou, n in sums.values() if n])


@pytest.mark.parametrize('changes', [0.0, 0.1, 0.5])
def test_equals_the_definition(changes):
    rng = np.random.default_rng(3)
    videos = [draw(rng, frames, changes) for frames in (5, 3, 1)]
    quality = VideoQuality(IS_THING, windows=(1, 2, 4))
    for video in videos:
        for frame in video:
            quality.add(*frame)
        quality.end_video()
    found = quality.compute()
    for name, value in slow_stq(videos).items():
        assert found[name] == pytest.approx(value), name
    tubes = [slow_vpq(videos, k) for k in (1, 2, 4)]
    assert [found[f'VPQ-{k}'] for k in (1, 2, 4)] == pytest.approx(tubes)
    assert found['VPQ'] == pytest.approx(np.mean(tubes))


def test_perfect_and_with_swapped_ids():
    truth = np.array([[0, 0, 1, 1, 2, 2]])
    labels = {0: 0, 1: 0, 2: 2}
    perfect, swapped = VideoQuality(IS_THING), VideoQuality(IS_THING)
    other = np.array([[1, 1, 0, 0, 2, 2]])
    for frame in range(8):
        perfect.add(truth, labels, truth + 10, {k + 10: v for k, v in labels.items()})
        swapped.add(truth, labels, truth if frame < 4 else other, labels)
    for quality in (perfect, swapped):
        quality.end_video()
    assert set(perfect.compute().values()) == {100}
    found = swapped.compute()
    assert found['SQ'] == found['VPQ-1'] == 100
    # Each thing is covered by two tracks, by half of the union with either: 1/2 * 1/3
    # of its pixels twice.
    assert found['AQ'] == pytest.approx(100 / 3)
    assert found['VPQ-2'] < 100


def test_sizes_and_windows_are_checked():
    quality = VideoQuality(IS_THING)
    with pytest.raises(ValueError, match='of one size'):
        quality.add(np.zeros((2, 3), int), {}, np.zeros((3, 2), int), {})
    with pytest.raises(ValueError, match='at least one frame'):
        VideoQuality(IS_THING, windows=(0,))
    assert all(map(math.isnan, VideoQuality(IS_THING).compute().values()))
