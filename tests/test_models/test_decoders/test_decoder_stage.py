import pytest
import torch

from mmovseg.models.decoders.lite_decoder import DecoderStage


@torch.no_grad()
def test_queries_are_a_set(seed):
    stage = DecoderStage(8, num_heads=2, ffn_channels=16)
    kernels, masks = torch.randn(1, 5, 8), torch.randn(1, 5, 4, 4)
    pixels = torch.randn(1, 8, 4, 4)
    order = torch.tensor([3, 0, 4, 1, 2])
    expected = [x[:, order] for x in stage(kernels, masks, pixels)]
    got = stage(kernels[:, order], masks[:, order], pixels)
    torch.testing.assert_close(list(got), expected)


@torch.no_grad()
def test_a_batch_equals_its_images(seed):
    stage = DecoderStage(8, num_heads=2, ffn_channels=16)
    kernels, masks = torch.randn(2, 5, 8), torch.randn(2, 5, 4, 4)
    pixels = torch.randn(2, 8, 4, 4)
    together = stage(kernels, masks, pixels)
    for b in range(2):
        alone = stage(kernels[b : b + 1], masks[b : b + 1], pixels[b : b + 1])
        for x, y in zip(together, alone, strict=True):
            torch.testing.assert_close(x[b : b + 1], y)


def test_masks_are_hard_and_carry_no_gradient(seed):
    stage = DecoderStage(8, num_heads=2, ffn_channels=16)
    kernels, pixels = torch.randn(1, 5, 8), torch.randn(1, 8, 4, 4)
    masks = torch.randn(1, 5, 4, 4, requires_grad=True)
    new_kernels, new_masks = stage(kernels, masks, pixels)
    (new_kernels.sum() + new_masks.sum()).backward()
    assert masks.grad is None
    torch.testing.assert_close(stage(kernels, 9 * masks, pixels)[0], new_kernels)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('autocast', [True, False])
def test_a_large_map_stays_finite_in_half_precision(seed, dtype, autocast):
    stage = DecoderStage(8, num_heads=2, ffn_channels=16)
    kernels, masks = torch.randn(1, 5, 8), torch.ones(1, 5, 256, 256)
    pixels = torch.randn(1, 8, 256, 256) + 3
    expected = stage(kernels, masks, pixels)[0]
    if autocast:
        with torch.autocast('cpu', dtype):
            got = stage(kernels, masks, pixels)[0]
    else:
        got = stage.to(dtype)(kernels.to(dtype), masks, pixels.to(dtype))[0]
    assert (got.float() - expected).norm() / expected.norm() < 0.05
