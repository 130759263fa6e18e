"""Inference on every device: rounding, layouts, programs and the order of copies.

``make test`` runs what a CPU can do; ``pytest -m gpu tests`` runs all on a GPU.
"""

import numpy as np
import pytest
import torch
from agreement import build_reference, differences, duplicate, predict

from mmovseg.analysis.profiling import build_model, random_text
from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.apis.fast_mode import make_fast
from mmovseg.shapeworld.drawing import draw_numbered

EOVSEG, DEOP = 'eovseg_tiny_shapeworld', 'deop_tiny_shapeworld-zs'
BASELINE = 'simbaseline_tiny_shapeworld-zs'


@pytest.mark.parametrize('name', [EOVSEG, DEOP, BASELINE])
def test_float32_is_near_double_precision_of_the_cpu(name, device, seed):
    model = build_model(name)
    inputs, text = torch.randn(2, 3, 64, 96), random_text(model)
    exact = duplicate(model, 'cpu', torch.float64)
    expected = predict(exact, inputs, text)
    got = predict(model.to(device), inputs, text)
    assert got.mask_logits.device.type == device.type
    assert got.mask_logits.dtype == torch.float32
    probs, masks = differences(got, expected)
    assert 0 < probs.max() < 1e-4
    assert 0 < masks.max() < 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize('size', ['s', 'l'])
def test_real_models_find_what_the_cpu_finds(size, gpu, seed):
    """With the weights of the reference values, which the CPU is compared with."""
    model = build_reference(size)
    inputs, text = torch.randn(1, 3, 640, 960), random_text(model)
    # As users run them: hard masks amplify rounding in single queries, not in most.
    expected = predict(model, inputs, text)
    got = predict(model.to(gpu), inputs, text)
    probs, masks = differences(got, expected)
    assert probs.quantile(0.9) < 1e-3
    assert masks.quantile(0.9) < 1e-3


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('name', [EOVSEG, DEOP])
def test_half_precision_is_near_float32(name, dtype, device, seed):
    model = build_model(name, device=device)
    inputs, text = torch.randn(2, 3, 64, 96), random_text(model)
    half = duplicate(model, device)
    expected = predict(model, inputs, text)
    make_fast(half, ['bf16' if dtype == torch.bfloat16 else 'fp16'])
    got = predict(half, inputs, text)
    assert got.mask_logits.dtype == dtype  # it was not computed as before
    assert got.class_logits.dtype == torch.float32
    probs, masks = differences(got, expected)
    # 8 times finer: 3 more bits.
    coarse = 1 if dtype == torch.bfloat16 else 1 / 8
    assert 0 < masks.median() < 0.05 * coarse
    assert probs.median() < 0.05 * coarse


@pytest.mark.parametrize('name', [EOVSEG, DEOP])
def test_the_layout_of_maps_changes_nothing(name, device, seed):
    model = build_model(name, device=device)
    inputs, text = torch.randn(2, 3, 64, 96, device=device), random_text(model)
    other = duplicate(model, device).to(memory_format=torch.channels_last)
    expected = predict(model, inputs, text)
    got = predict(other, inputs.to(memory_format=torch.channels_last), text)
    probs, masks = differences(got, expected)
    assert probs.max() < 1e-4
    assert masks.max() < 1e-4


@pytest.mark.gpu
@pytest.mark.parametrize('parts', [['compile'], ['compile', 'graphs', 'buckets=32']])
@pytest.mark.parametrize('name', [EOVSEG, DEOP])
def test_programs_and_graphs_give_the_same(name, parts, gpu, seed):
    model = build_model(name, device=gpu)
    text = random_text(model)
    batches = [torch.randn(2, 3, *size, device=gpu) for size in ((64, 96), (96, 64))]
    expected = [predict(model, inputs, text) for inputs in batches]
    make_fast(model, parts)
    # Three rounds: a graph is recorded in the second and replayed in the third, and
    # a replay must not write over what an earlier one returned.
    rounds = [[predict(model, x, text) for x in batches] for _ in range(3)]
    for found in rounds:
        for got, right in zip(found, expected, strict=True):
            probs, masks = differences(got, right)
            assert probs.quantile(0.9) < 1e-3
            assert masks.quantile(0.9) < 1e-3


def test_photos_that_arrive_while_the_model_computes_are_whole(device):
    photos = [
        draw_numbered(0, 'val', number, 64 + 32 * (number % 3)).image[..., ::-1].copy()
        for number in range(6)
    ]
    model = init_model(EOVSEG, 'shapeworld', device)
    inferencer = OVSegInferencer(model, show_progress=False, num_workers=2)
    once = [inferencer(x, return_datasamples=True)['predictions'][0] for x in photos]
    together = inferencer(photos, 3, return_datasamples=True)['predictions']
    for one, other in zip(once, together, strict=True):
        maps = [x.pred_panoptic_seg.sem_seg.cpu().numpy() for x in (one, other)]
        assert (maps[0] == maps[1]).mean() > 0.999
    assert len({x.pred_panoptic_seg.sem_seg.cpu().numpy().tobytes() for x in once}) > 4


@pytest.mark.gpu
def test_no_part_of_the_network_waits_for_the_gpu(gpu, seed):
    model = build_model(EOVSEG, device=gpu)
    inputs, text = torch.randn(2, 3, 64, 96, device=gpu), random_text(model)
    predict(model, inputs, text)  # what is set up once may wait
    torch.cuda.set_sync_debug_mode('error')
    try:
        model.predict_masks(inputs, text, None)
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.gpu
def test_golden_values_of_the_reference(gpu, shared):
    """What the released code of EOV-Seg S computed on a CPU."""
    golden = np.load(shared / 'golden' / 'eovseg_s.npz')
    model = build_reference('s').to(gpu)
    image = torch.from_numpy(golden['image']).permute(2, 0, 1).flip(0)
    inputs = model.data_preprocessor(dict(inputs=[image]))['inputs']
    with torch.no_grad():
        maps = model.backbone(inputs)
    for level, x in enumerate(maps, start=2):
        means = x.double().mean((0, 2, 3)).cpu().numpy()
        expected = golden[f'tap/cnn/res{level}/chmean']
        assert np.linalg.norm(means - expected) < 1e-4 * np.linalg.norm(expected)
