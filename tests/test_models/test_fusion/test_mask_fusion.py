"""MaskFusion against a slow oracle and the official recording."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement

from mmovseg.models import ops
from mmovseg.models.fusion import MaskFusion, fusion_tasks
from mmovseg.models.fusion.fusion_tasks import label_divisor
from mmovseg.models.structures import MaskPrediction
from mmovseg.registry import MODELS
from mmovseg.vocabulary import Vocabulary

# (map, padded, image, output): plain, padding, up, down, odd, one row, one column
SIZES = [
    ((8, 12), (32, 48), (32, 48), (32, 48)),
    ((8, 12), (32, 48), (30, 41), (30, 41)),
    ((8, 12), (32, 48), (30, 41), (71, 95)),
    ((16, 16), (64, 64), (64, 50), (23, 18)),
    ((8, 8), (32, 32), (5, 32), (1, 17)),
    ((8, 8), (32, 32), (32, 1), (40, 1)),
    ((8, 8), (32, 32), (3, 2), (6, 4)),
    ((8, 8), (32, 32), (26, 26), (7, 7)),  # nearly the map's size
    ((8, 8), (32, 32), (32, 20), (4, 32)),  # output as wide as the padded input
]
OPTIONS = dict(object_mask_thr=0.3, iou_thr=0.3, max_per_image=20)


def names(num_classes: int, things: list[int]) -> Vocabulary:
    return Vocabulary(
        tuple((f'c{i}',) for i in range(num_classes)),
        tuple(i in things for i in range(num_classes)),
    )


def resize_twice(masks, padded, image, output):
    masks = F.interpolate(masks[None], padded, mode='bilinear', align_corners=False)
    masks = masks[..., : image[0], : image[1]]
    return F.interpolate(masks, output, mode='bilinear', align_corners=False)[0]


def resize_probabilities(masks, padded, image, output):
    masks = F.interpolate(masks[None], padded, mode='bilinear', align_corners=False)
    masks = masks[..., : image[0], : image[1]].sigmoid()
    return F.interpolate(masks, output, mode='bilinear', align_corners=False)[0]


def oracle(
    class_logits,
    masks,
    vocabulary,
    *,
    object_mask_thr,
    iou_thr,
    max_per_image,
    sigmoid=None,
):
    """The three results of one image, all in memory, loops over segments."""
    num_classes = len(vocabulary)
    probs = class_logits.softmax(-1)
    scores, labels = probs.max(-1)
    sigmoid = masks.sigmoid() if sigmoid is None else sigmoid
    divisor = label_divisor(num_classes)
    panoptic = torch.full(masks.shape[-2:], num_classes)
    kept = [
        q
        for q in range(len(masks))
        if labels[q] != num_classes and scores[q] > object_mask_thr
    ]
    segments, stuff = [], {}
    if kept:
        weighted = torch.stack([scores[q] * sigmoid[q] for q in kept])
        winner = weighted.argmax(0)
        for i, q in enumerate(kept):
            won, own = winner == i, sigmoid[q] >= 0.5
            both = won & own
            if not (won.any() and own.any() and both.any()):
                continue
            if won.sum().item() / own.sum().item() < iou_thr:
                continue
            label = int(labels[q])
            if not vocabulary.is_thing[label] and label in stuff:
                panoptic[both] = stuff[label]['id']
                stuff[label]['area'] += int(both.sum())
                stuff[label]['score'] = max(stuff[label]['score'], scores[q].item())
                continue
            code = label + divisor * (len(segments) + 1)
            panoptic[both] = code
            segments.append(
                dict(
                    id=code,
                    category_id=label,
                    isthing=vocabulary.is_thing[label],
                    score=scores[q].item(),
                    area=int(both.sum()),
                )
            )
            if not vocabulary.is_thing[label]:
                stuff[label] = segments[-1]
    semantic = torch.einsum('nk,nhw->khw', probs[:, :-1], sigmoid).argmax(0)
    instances = []
    flat = probs[:, :-1].flatten()
    for pair in flat.topk(min(max_per_image, len(flat))).indices.tolist():
        q, label = pair // num_classes, pair % num_classes
        if not vocabulary.is_thing[label]:
            continue
        mask = masks[q] > 0
        score = flat[pair] * sigmoid[q][mask].sum() / (mask.sum() + 1e-6)
        box = [0.0] * 4
        if mask.any():
            ys, xs = mask.nonzero().T
            box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        instances.append((label, float(score), mask, [float(x) for x in box]))
    return panoptic, segments, semantic, instances


def blobs(num_queries, size, generator):
    """Logits of smooth blobs, so that some win most of their own mask."""
    noise = torch.randn(1, num_queries, 3, 3, generator=generator) * 6 - 1
    return F.interpolate(noise, size, mode='bicubic')[0]


def random_case(seed, map_size):
    """Twelve queries, five classes; class 0 (stuff) is frequent."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = torch.randn(1, 12, 6, generator=generator) * 2
    class_logits[..., 0] += 2
    return class_logits, blobs(12, map_size, generator)[None]


def check_against_oracle(sample, class_logits, masks, vocabulary, **options):
    panoptic, segments, semantic, instances = oracle(
        class_logits, masks, vocabulary, **options
    )
    found = sample.pred_panoptic_seg
    assert (found.sem_seg[0] == panoptic).all()
    assert len(found.segments_info) == len(segments)
    for a, b in zip(found.segments_info, segments, strict=True):
        assert a == pytest.approx(b)
    assert (sample.pred_sem_seg.sem_seg[0] == semantic).all()
    assert sample.pred_sem_seg.data is sample.pred_sem_seg.sem_seg
    result = sample.pred_instances
    assert len(result) == len(instances)
    for i, (label, score, mask, box) in enumerate(instances):
        assert result.labels[i] == label
        assert result.scores[i].item() == pytest.approx(score, rel=1e-5, abs=1e-9)
        assert (result.masks[i] == mask).all()
        assert result.bboxes[i].tolist() == box
        assert result.label_names[i] == vocabulary.names[label]


def resize_part(masks, padded, image, output):
    """Sample the part of the maps that shows the image, a value at a time."""

    def taps(length, padded, image, output):
        places = (np.arange(output) + 0.5) * (image / output) * (length / padded) - 0.5
        places = places.clip(0, length - 1)
        low = np.floor(places).astype(int)
        return low, (low + 1).clip(max=length - 1), places - low

    sizes = zip(masks.shape[-2:], padded, image, output, strict=True)
    rows, columns = (taps(*x) for x in sizes)
    result = np.zeros((len(masks), *output))
    for y, (top, bottom, down) in enumerate(zip(*rows, strict=True)):
        for x, (left, right, across) in enumerate(zip(*columns, strict=True)):
            for row, row_share in ((top, 1 - down), (bottom, down)):
                for column, share in ((left, 1 - across), (right, across)):
                    result[:, y, x] += row_share * share * masks[:, row, column].numpy()
    return torch.from_numpy(result).float()


@pytest.mark.parametrize('probabilities', [False, True])
def test_fusion_with_one_step(probabilities):
    """DeOP's order of resizing is left out too."""
    map_size, padded, image, output = (8, 12), (32, 48), (29, 41), (57, 80)
    vocabulary = names(5, things=[1, 4])
    class_logits, mask_logits = random_case(0, map_size)
    fusion = MaskFusion(
        one_step_resize=True, resize_probabilities=probabilities, **OPTIONS
    )
    sample = BaseDataElement(metainfo=dict(img_shape=image, ori_shape=output))
    fusion(MaskPrediction(class_logits, mask_logits), [sample], vocabulary, padded)
    expected = resize_part(mask_logits[0], padded, image, output)
    check_against_oracle(sample, class_logits[0], expected, vocabulary, **OPTIONS)


@pytest.mark.parametrize('map_size, padded, image, output', SIZES)
def test_the_plain_form_equals_the_oracle(map_size, padded, image, output):
    vocabulary = names(5, things=[1, 4])
    class_logits, mask_logits = random_case(0, map_size)
    expected = resize_twice(mask_logits[0], padded, image, output)
    sample = BaseDataElement(metainfo=dict(img_shape=image, ori_shape=output))
    prediction = MaskPrediction(class_logits, mask_logits)
    with ops.plain():
        MaskFusion(**OPTIONS)(prediction, [sample], vocabulary, padded)
    check_against_oracle(sample, class_logits[0], expected, vocabulary, **OPTIONS)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('map_size, padded, image, output', SIZES)
def test_equals_the_oracle_for_any_strip_size(map_size, padded, image, output, seed):
    vocabulary = names(5, things=[1, 4])  # things and stuff interleaved
    class_logits, mask_logits = random_case(seed, map_size)
    expected = resize_twice(mask_logits[0], padded, image, output)
    meta = dict(img_shape=image, ori_shape=output)
    for max_pixels in (1, 777, 2**21):
        fusion = MaskFusion(max_pixels=max_pixels, **OPTIONS)
        sample = BaseDataElement(metainfo=meta)
        (result,) = fusion(
            MaskPrediction(class_logits, mask_logits), [sample], vocabulary, padded
        )
        assert result is sample
        check_against_oracle(sample, class_logits[0], expected, vocabulary, **OPTIONS)


def test_the_two_orders_differ_visibly():
    masks = torch.randn(3, 8, 12) * 5
    a = resize_probabilities(masks, *SIZES[2][1:])
    b = resize_twice(masks, *SIZES[2][1:]).sigmoid()
    assert (a - b).abs().max() > 0.01


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize('map_size, padded, image, output', SIZES)
def test_resized_probabilities_equal_the_oracle(map_size, padded, image, output, seed):
    vocabulary = names(5, things=[1, 4])
    class_logits, mask_logits = random_case(seed, map_size)
    probs = resize_probabilities(mask_logits[0], padded, image, output)
    meta = dict(img_shape=image, ori_shape=output)
    for max_pixels in (777, 2**21):
        fusion = MaskFusion(max_pixels=max_pixels, resize_probabilities=True, **OPTIONS)
        (sample,) = fusion(
            MaskPrediction(class_logits, mask_logits),
            [BaseDataElement(metainfo=meta)],
            vocabulary,
            padded,
        )
        check_against_oracle(
            sample, class_logits[0], probs - 0.5, vocabulary, sigmoid=probs, **OPTIONS
        )
    # DeOP resizes the class scores, all of them, which is the same.
    masks = F.interpolate(mask_logits, padded, mode='bilinear', align_corners=False)
    masks = masks[0, :, : image[0], : image[1]].sigmoid()
    scores = class_logits[0].softmax(-1)[:, :-1]
    scores = torch.einsum('nk,nhw->khw', scores, masks)[None]
    scores = F.interpolate(scores, output, mode='bilinear', align_corners=False)[0]
    assert torch.equal(sample.pred_sem_seg.data[0], scores.argmax(0))


def test_probabilities_and_logits_agree_where_nothing_is_resized_twice():
    class_logits, mask_logits = random_case(0, (8, 12))
    vocabulary = names(5, things=[1, 4])
    found = []
    for switch in (False, True):
        fusion = MaskFusion(resize_probabilities=switch, **OPTIONS)
        meta = dict(img_shape=(30, 41), ori_shape=(30, 41))
        sample = BaseDataElement(metainfo=meta)
        prediction = MaskPrediction(class_logits, mask_logits)
        found += fusion(prediction, [sample], vocabulary, (32, 48))
    a, b = found
    assert torch.equal(a.pred_sem_seg.data, b.pred_sem_seg.data)
    assert torch.equal(a.pred_panoptic_seg.sem_seg, b.pred_panoptic_seg.sem_seg)
    assert torch.equal(a.pred_instances.masks, b.pred_instances.masks)


@pytest.mark.parametrize('switch', [False, True])
def test_proposals_are_all_masks_in_order(switch):
    """Empty ones and ones of void too, whatever else is made."""
    class_logits, mask_logits = random_case(0, (8, 12))
    class_logits[:, :3, -1] = 20  # void
    mask_logits[:, 1] = -9
    sizes = ((32, 48), (30, 41), (25, 60))
    logits = resize_twice(mask_logits[0], *sizes)
    probs = resize_probabilities(mask_logits[0], *sizes)
    expected = probs > 0.5 if switch else logits > 0
    meta = dict(img_shape=sizes[1], ori_shape=sizes[2])
    for panoptic in (False, True):
        fusion = MaskFusion(
            panoptic=panoptic,
            instance=panoptic,
            semantic=False,
            proposals=True,
            resize_probabilities=switch,
            max_pixels=5000,
        )
        (sample,) = fusion(
            MaskPrediction(class_logits, mask_logits),
            [BaseDataElement(metainfo=meta)],
            names(5, things=[]),
            sizes[0],
        )
        assert sample.pred_proposals.masks.dtype == torch.bool
        assert torch.equal(sample.pred_proposals.masks, expected)
        assert not sample.pred_proposals.masks[1].any()
        assert ('pred_panoptic_seg' in sample) == panoptic


def heatmap_prediction():
    """A small frisbee, a large vague one, void and background; areas by hand."""
    masks = torch.full((1, 4, 4, 4), -30.0)
    masks[0, 3] = 30
    masks[0, 0, 0, 0] = masks[0, 1, 2, :2] = masks[0, 2, 3, 3] = 30
    probs = torch.tensor(
        [
            [0.05, 0.90, 0.01, 0.04],  # 1 pixel: 0.9 frisbee
            [0.10, 0.60, 0.20, 0.10],  # 2 pixels: 1.2 frisbee
            [0.10, 0.20, 0.00, 0.70],  # 1 pixel, void; its best class is frisbee
            [0.80, 0.10, 0.06, 0.04],  # 16 pixels: grass, and a little of all
        ]
    )
    heatmaps = torch.rand(1, 4, 2, 3)
    return MaskPrediction(probs.log()[None], masks, heatmaps)


def test_heatmaps_know_the_query_of_each_class():
    """Without the second rule the large grass would be the frisbee (1.6)."""
    prediction = heatmap_prediction()
    fusion = MaskFusion(panoptic=False, instance=False, semantic=False, heatmaps=True)
    meta = dict(img_shape=(4, 4), ori_shape=(8, 8))
    sample = BaseDataElement(metainfo=meta)
    fusion(prediction, [sample], names(3, []), (4, 4))
    found = sample.pred_heatmaps
    assert set(sample.keys()) == {'pred_heatmaps'}
    assert found.queries.tolist() == [3, 1, 3]  # nothing is mostly class 2
    assert found.scores.tolist() == pytest.approx([0.8, 0.6, 0.06])
    assert torch.equal(found.heatmaps, prediction.heatmaps[0])
    assert torch.equal(found.mask_logits, prediction.mask_logits[0])
    assert (found.padded_size, found.img_shape, found.ori_shape) == (
        (4, 4),
        (4, 4),
        (8, 8),
    )


def test_padding_does_not_count_for_the_query_of_a_class():
    """Of a mask that is mostly padding only the part inside the image counts."""
    prediction = heatmap_prediction()
    prediction.mask_logits[0, 1] = -30
    prediction.mask_logits[0, 1, 2:] = 30
    fusion = MaskFusion(heatmaps=True, max_pixels=1)
    for shape, query in (((2, 4), 0), ((3, 4), 1)):
        meta = dict(img_shape=shape, ori_shape=shape)
        sample = BaseDataElement(metainfo=meta)
        fusion(prediction, [sample], names(3, []), (4, 4))
        assert sample.pred_heatmaps.queries[1] == query


def test_heatmaps_are_left_out_where_there_are_none():
    prediction = heatmap_prediction()
    (sample,) = MaskFusion(heatmaps=True)(
        MaskPrediction(*prediction[:2]), None, names(3, []), (4, 4)
    )
    assert 'pred_heatmaps' not in sample
    (sample,) = MaskFusion()(prediction, None, names(3, []), (4, 4))
    assert set(sample.keys()) == {'pred_panoptic_seg', 'pred_instances', 'pred_sem_seg'}


def test_the_oracle_cases_merge_stuff_and_skip_segments():
    merged = skipped = 0
    for seed in range(4):
        class_logits, mask_logits = random_case(seed, (8, 12))
        masks = resize_twice(mask_logits[0], *SIZES[0][1:])
        with_stuff, only_things = (
            len(oracle(class_logits[0], masks, names(5, things), **OPTIONS)[1])
            for things in ([1, 4], range(5))
        )
        merged += only_things - with_stuff
        skipped += 12 - only_things
    assert merged > 0
    assert skipped > 0


def test_two_by_two_by_hand():
    """Query 0 wins the left column, 1 the right; query 2 is void."""
    masks = torch.tensor([[[4.0, -4.0], [4.0, -4.0]], [[-4.0, 4.0], [-4.0, 4.0]]])
    masks = torch.cat([masks, torch.full((1, 2, 2), 9.0)])[None]
    probs = torch.tensor([[[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]]])
    vocabulary = names(2, things=[1])
    (sample,) = MaskFusion()(
        MaskPrediction(probs.log(), masks), None, vocabulary, (2, 2)
    )
    panoptic = sample.pred_panoptic_seg
    assert panoptic.sem_seg.tolist() == [[[1000, 2001], [1000, 2001]]]
    assert panoptic.sem_seg.dtype == torch.int32
    assert panoptic.label_divisor == 1000
    assert panoptic.ignore_index == 2
    assert [s['score'] for s in panoptic.segments_info] == pytest.approx([0.7, 0.6])
    assert [s['area'] for s in panoptic.segments_info] == [2, 2]
    instances = sample.pred_instances
    assert instances.labels.tolist() == [1, 1, 1]
    assert instances.bboxes.tolist() == [[1, 0, 2, 2], [0, 0, 1, 2], [0, 0, 2, 2]]
    inside = torch.tensor([4.0, 4.0, 9.0]).sigmoid()
    torch.testing.assert_close(instances.scores, torch.tensor([0.6, 0.2, 0.1]) * inside)


def test_pixels_won_outside_the_mask_count_for_the_threshold():
    """Query 0 owns 4 pixels and loses 2 of them, but wins 4 faint ones outside."""
    masks = torch.tensor([[[9.0, 1.0, -0.1, -0.1]] * 2, [[-9.0, 9.0, -9.0, -9.0]] * 2])
    probs = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]])
    prediction = MaskPrediction(probs.log(), masks[None])
    (sample,) = MaskFusion(iou_thr=0.8)(prediction, None, names(2, [0, 1]), (2, 4))
    assert sample.pred_panoptic_seg.sem_seg[0].tolist() == [[1000, 2001, 2, 2]] * 2


def test_batch_equals_single_images():
    generator = torch.Generator().manual_seed(1)
    vocabulary = names(6, things=[0, 3])
    class_logits = torch.randn(3, 9, 7, generator=generator)
    mask_logits = torch.stack([blobs(9, (8, 8), generator) for _ in range(3)])
    metas = [
        dict(img_shape=(32, 20), ori_shape=(50, 31)),
        dict(img_shape=(17, 32), ori_shape=(17, 32)),
        dict(),
    ]
    fusion = MaskFusion(iou_thr=0.4, max_pixels=500)
    samples = [BaseDataElement(metainfo=meta) for meta in metas]
    fusion(MaskPrediction(class_logits, mask_logits), samples, vocabulary, (32, 32))
    for i, meta in enumerate(metas):
        (one,) = fusion(
            MaskPrediction(class_logits[i : i + 1], mask_logits[i : i + 1]),
            [BaseDataElement(metainfo=meta)],
            vocabulary,
            (32, 32),
        )
        for field, key in (
            ('pred_panoptic_seg', 'sem_seg'),
            ('pred_sem_seg', 'data'),
            ('pred_instances', 'masks'),
            ('pred_instances', 'scores'),
        ):
            a, b = (getattr(getattr(x, field), key) for x in (one, samples[i]))
            assert torch.equal(a, b)
        assert a.shape[0] > 0
        assert tuple(one.pred_sem_seg.shape) == meta.get('ori_shape', (32, 32))


def test_no_result_is_waited_for_before_all_images_are_under_way(monkeypatch):
    calls = []
    for name in ('add', 'result'):
        method = getattr(fusion_tasks.PanopticTask, name)

        def watch(self, *arguments, name=name, method=method):
            calls.append(name)
            return method(self, *arguments)

        monkeypatch.setattr(fusion_tasks.PanopticTask, name, watch)
    prediction = MaskPrediction(torch.randn(3, 4, 3), torch.randn(3, 4, 8, 8))
    MaskFusion()(prediction, None, names(2, [0]), (32, 32))
    assert calls == ['add'] * 3 + ['result'] * 3


def test_permuting_classes_permutes_the_results():
    """A vocabulary with things last, first or mixed gives the same segments."""
    generator = torch.Generator().manual_seed(5)
    class_logits = torch.randn(1, 10, 7, generator=generator) * 2
    mask_logits = blobs(10, (8, 8), generator)[None]
    order = [4, 2, 0, 5, 1, 3]
    vocabulary = names(6, things=[0, 3])
    shuffled = Vocabulary(
        tuple(vocabulary.synonyms[i] for i in order),
        tuple(vocabulary.is_thing[i] for i in order),
    )
    fusion = MaskFusion(iou_thr=0.4)
    (a,) = fusion(MaskPrediction(class_logits, mask_logits), None, vocabulary, (32, 32))
    (b,) = fusion(
        MaskPrediction(class_logits[..., [*order, 6]], mask_logits),
        None,
        shuffled,
        (32, 32),
    )
    labels = torch.tensor([*order, 6])
    assert torch.equal(labels[b.pred_sem_seg.data], a.pred_sem_seg.data)
    pa, pb = a.pred_panoptic_seg.sem_seg, b.pred_panoptic_seg.sem_seg
    assert torch.equal(labels[(pb % 1000).long()], (pa % 1000).long())
    assert torch.equal(pb // 1000, pa // 1000)
    assert sorted(a.pred_instances.label_names) == sorted(b.pred_instances.label_names)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    generator = torch.Generator().manual_seed(2)
    prediction = MaskPrediction(
        torch.randn(1, 8, 5, generator=generator).to(dtype),
        blobs(8, (8, 8), generator)[None].to(dtype),
    )
    wide = MaskPrediction(*(x.float() for x in prediction[:2]))
    vocabulary = names(4, things=[0])
    meta = dict(img_shape=(30, 30), ori_shape=(45, 45))
    results = []
    for item in (prediction, wide):
        with torch.autocast('cpu', torch.bfloat16, enabled=item is prediction):
            sample = BaseDataElement(metainfo=meta)
            results += MaskFusion()(item, [sample], vocabulary, (32, 32))
    a, b = results
    assert torch.equal(a.pred_sem_seg.data, b.pred_sem_seg.data)
    assert torch.equal(a.pred_panoptic_seg.sem_seg, b.pred_panoptic_seg.sem_seg)
    assert torch.equal(a.pred_instances.scores, b.pred_instances.scores)


def test_nothing_found():
    """Every query is void and every mask empty: void map, boxes of zeros."""
    class_logits = torch.zeros(1, 4, 4)
    class_logits[..., -1] = 5
    prediction = MaskPrediction(class_logits, torch.full((1, 4, 8, 8), -20.0))
    (sample,) = MaskFusion()(prediction, None, names(3, things=[1]), (32, 32))
    assert (sample.pred_panoptic_seg.sem_seg == 3).all()
    assert sample.pred_panoptic_seg.segments_info == []
    assert len(sample.pred_instances) == 4  # the spec keeps them, with score 0
    assert sample.pred_instances.bboxes.abs().sum() == 0
    assert sample.pred_instances.scores.abs().sum() == 0


def test_vocabulary_without_things():
    prediction = MaskPrediction(torch.randn(1, 4, 4), torch.randn(1, 4, 8, 8))
    (sample,) = MaskFusion()(prediction, None, names(3, things=[]), (32, 32))
    assert len(sample.pred_instances) == 0
    assert sample.pred_instances.masks.shape == (0, 32, 32)
    assert sample.pred_instances.bboxes.shape == (0, 4)


def test_switches_leave_results_out():
    fusion = MaskFusion(semantic=False)
    prediction = MaskPrediction(torch.randn(1, 4, 4), torch.randn(1, 4, 8, 8))
    vocabulary = names(3, things=[0])
    (sample,) = fusion(prediction, None, vocabulary, (32, 32))
    assert set(sample.keys()) == {'pred_panoptic_seg', 'pred_instances'}
    fusion.panoptic = fusion.instance = False
    fusion.semantic = True
    (sample,) = fusion(prediction, None, vocabulary, (32, 32))
    assert set(sample.keys()) == {'pred_sem_seg'}


@pytest.mark.parametrize(
    'num_classes, divisor', [(2, 1000), (999, 1000), (1000, 10000), (9999, 10000)]
)
def test_label_divisor_leaves_room_for_void(num_classes, divisor):
    assert label_divisor(num_classes) == divisor


def test_five_thousand_classes_in_small_chunks():
    """Above the limits of mmdet's coding, with scores of 40 pixels at a time."""
    generator = torch.Generator().manual_seed(3)
    vocabulary = names(5000, things=range(0, 5000, 2))
    class_logits = torch.randn(1, 6, 5001, generator=generator) * 3
    mask_logits = blobs(6, (8, 8), generator)[None]
    options = dict(object_mask_thr=0.0, iou_thr=0.2, max_per_image=30)
    fusion = MaskFusion(max_pixels=200_000, **options)
    (sample,) = fusion(
        MaskPrediction(class_logits, mask_logits), None, vocabulary, (32, 32)
    )
    expected = resize_twice(mask_logits[0], (32, 32), (32, 32), (32, 32))
    check_against_oracle(sample, class_logits[0], expected, vocabulary, **options)
    panoptic = sample.pred_panoptic_seg
    assert panoptic.label_divisor == 10_000
    assert panoptic.segments_info
    for segment in panoptic.segments_info:
        assert segment['id'] % 10_000 == segment['category_id']
    assert sample.pred_sem_seg.ignore_index == 5000  # 255 is a class


def test_no_temporary_is_larger_than_max_pixels(monkeypatch):
    """The strips of a large output stay within the bound."""
    sizes = []
    original = torch.Tensor.sigmoid

    def sigmoid(self):
        sizes.append(self.numel())
        return original(self)

    monkeypatch.setattr(torch.Tensor, 'sigmoid', sigmoid)
    prediction = MaskPrediction(torch.randn(1, 10, 4), torch.randn(1, 10, 8, 8))
    sample = BaseDataElement(metainfo=dict(img_shape=(32, 32), ori_shape=(300, 200)))
    fusion = MaskFusion(max_pixels=20_000)
    fusion(prediction, [sample], names(3, [0]), (32, 32))
    assert max(sizes) <= 20_000
    assert sum(sizes) == 10 * 300 * 200


def test_can_be_built_by_name():
    fusion = MODELS.build(dict(type='mmovseg.MaskFusion', iou_thr=0.5))
    assert isinstance(fusion, MaskFusion)
    with pytest.raises(ValueError, match='max_pixels'):
        MaskFusion(max_pixels=0)


@pytest.mark.parametrize('name', ['iou_thr', 'object_mask_thr'])
@pytest.mark.parametrize('value', [-0.1, 80, float('nan')])
def test_shares_are_from_0_to_1(name, value):
    with pytest.raises(ValueError, match=rf'fusion\.{name} must be in \[0, 1\]'):
        MaskFusion(**{name: value})


def test_disagreeing_input_is_refused():
    fusion = MaskFusion()
    prediction = MaskPrediction(torch.randn(2, 4, 4), torch.randn(2, 4, 8, 8))
    with pytest.raises(ValueError, match=r'2 images .* 1 data sample'):
        fusion(prediction, [BaseDataElement()], names(3, []), (32, 32))
    with pytest.raises(ValueError, match='vocabulary has 5 classes'):
        fusion(prediction, None, names(5, []), (32, 32))
    big = [BaseDataElement(metainfo=dict(img_shape=(33, 32)))] * 2
    with pytest.raises(ValueError, match='img_shape'):
        fusion(prediction, big, names(3, []), (32, 32))


@pytest.mark.parametrize('suffix, iou_thr', [('', 0.8), ('_overlap0', 0.0)])
def test_official_results(shared, suffix, iou_thr):
    """Masks are recorded as float16, which moves a few pixels."""
    data = np.load(shared / 'golden/eovseg_s.npz')
    rows = json.loads((shared / 'golden/eovseg_vocab.json').read_text())['ade20k_150']
    is_thing = tuple(bool(row[1]) for row in rows)
    vocabulary = Vocabulary(tuple((f'c{i}',) for i in range(150)), is_thing)
    prediction = MaskPrediction(
        torch.from_numpy(data['final_cls_logprob'])[None],
        torch.from_numpy(data['s2/mask_logits'])[None],
    )
    size = tuple(data['output_size'].tolist())
    (sample,) = MaskFusion(iou_thr=iou_thr)(prediction, None, vocabulary, size)
    panoptic = sample.pred_panoptic_seg
    expected = data[f'segments_info{suffix}'].tolist()  # id, is thing, label
    found = [[int(s['isthing']), s['category_id']] for s in panoptic.segments_info]
    assert found == [row[1:] for row in expected]
    numbers = panoptic.sem_seg[0].numpy() // 1000
    assert (numbers == data[f'panoptic_seg{suffix}']).mean() >= 0.999
    semantic = sample.pred_sem_seg.data[0].numpy()
    assert (semantic == data['sem_seg_argmax']).mean() >= 0.999
    instances = sample.pred_instances
    assert len(instances) == data['instances_num']
    order = instances.scores.argsort(descending=True)[:20]
    np.testing.assert_allclose(
        instances.scores[order].numpy(), data['instances_scores'], rtol=1e-3
    )
    assert instances.labels[order].tolist() == data['instances_classes'].tolist()
    areas = instances.masks[order].flatten(1).sum(1).numpy()
    np.testing.assert_allclose(areas, data['instances_area'], rtol=0.02, atol=3)


def test_official_map_of_deop(shared):
    """A photo without resizing; masks are recorded as float16."""
    data = np.load(shared / 'golden/deop_vitb16.npz')
    prediction = MaskPrediction(
        torch.from_numpy(data['class_logits'])[None],
        torch.from_numpy(data['mask_logits'])[None],
    )
    size = data['image'].shape[:2]
    meta = dict(img_shape=size, ori_shape=size)
    fusion = MaskFusion(panoptic=False, instance=False, resize_probabilities=True)
    (sample,) = fusion(
        prediction, [BaseDataElement(metainfo=meta)], names(171, []), (288, 256)
    )
    found = sample.pred_sem_seg.data[0].numpy()
    assert (found == data['sem_map']).mean() >= 0.999


@pytest.mark.parametrize('max_pixels', [2**21, 700])
def test_top_classes_equal_the_oracle(max_pixels):
    """Per pixel the scores of all queries, weighted by their masks."""
    class_logits, mask_logits = random_case(0, (8, 12))
    sizes = ((32, 48), (30, 41), (25, 60))
    masks = resize_twice(mask_logits[0], *sizes).sigmoid()
    scores = class_logits[0].softmax(-1)
    expected = torch.einsum('nk,nhw->khw', scores, masks) / masks.sum(0)
    torch.testing.assert_close(expected.sum(0), torch.ones(sizes[2]))
    meta = dict(img_shape=sizes[1], ori_shape=sizes[2])
    found = []
    for results in (['top_classes'], ['panoptic', 'top_classes']):
        (sample,) = MaskFusion(max_pixels=max_pixels)(
            MaskPrediction(class_logits, mask_logits),
            [BaseDataElement(metainfo=meta)],
            names(6 if class_logits.shape[-1] == 7 else 5, things=[1]),
            sizes[0],
            results,
        )
        found.append(sample)
        top = sample.pred_top_classes
        values, labels = expected[:-1].topk(5, 0)
        torch.testing.assert_close(top.probabilities, values)
        # Classes that are equal up to rounding may change places.
        again = expected.gather(0, top.labels)
        torch.testing.assert_close(again, values)
        assert (top.labels == labels).float().mean() > 0.99
    assert 'pred_panoptic_seg' not in found[0] and 'pred_panoptic_seg' in found[1]


def test_top_classes_of_few_classes():
    class_logits, mask_logits = random_case(0, (8, 12))
    (sample,) = MaskFusion()(
        MaskPrediction(class_logits[..., -3:], mask_logits),
        None,
        names(2, things=[1]),
        (32, 48),
        ['top_classes'],
    )
    assert sample.pred_top_classes.labels.shape == (2, 32, 48)
