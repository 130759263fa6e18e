import pytest
import torch

from mmovseg.models.decoders.lite_decoder import SpatialUpsample
from mmovseg.models.ops import mask_pool
from mmovseg.models.ops import upsampled_map as module


@torch.no_grad()
@pytest.mark.parametrize('stride', [4, 8, 16, 32])
def test_pooling_in_parts_equals_pooling_the_whole_map(stride, seed, monkeypatch):
    # Two positions at a time, or one that becomes more than that.
    monkeypatch.setattr(module, 'CHUNK', 40)
    layer = SpatialUpsample(5, stride)
    x = torch.randn(2, 5, 96 // stride, 64 // stride)
    masks = torch.randn(2, 3, 24, 16)
    masks[0, 1] = -1  # an empty one
    pooled = mask_pool(layer.for_pooling(x), masks)
    torch.testing.assert_close(pooled, mask_pool(layer(x), masks))
    assert not pooled[0, 1].any()


@torch.no_grad()
def test_a_graph_pools_the_whole_map(seed, monkeypatch):
    layer, x = SpatialUpsample(5, 16), torch.randn(2, 5, 3, 4)
    expected = layer(x)
    monkeypatch.setattr(torch.compiler, 'is_compiling', lambda: True)
    torch.testing.assert_close(layer.for_pooling(x), expected)


def test_the_gradient_is_that_of_the_whole_map(seed):
    layer = SpatialUpsample(5, 16)
    x, masks = torch.randn(2, 5, 3, 4), torch.randn(2, 3, 12, 16)
    gradients = []
    for spatial in (layer.for_pooling(x), layer(x)):
        loss = mask_pool(spatial, masks).square().sum()
        gradients.append(torch.autograd.grad(loss, list(layer.parameters())))
    torch.testing.assert_close(*gradients)


@torch.no_grad()
def test_masks_of_another_size_are_resized(seed):
    layer = SpatialUpsample(5, 16)
    x, masks = torch.randn(1, 5, 3, 4), torch.randn(1, 3, 7, 9)
    expected = mask_pool(layer(x), masks)
    torch.testing.assert_close(mask_pool(layer.for_pooling(x), masks), expected)


@torch.no_grad()
def test_the_upsampled_map_is_never_made(seed, largest_tensor, monkeypatch):
    monkeypatch.setattr(module, 'CHUNK', 2**14)
    layer = SpatialUpsample(64, 16)
    x, masks = torch.randn(1, 64, 16, 16), torch.randn(1, 3, 64, 64)
    with largest_tensor() as largest:
        mask_pool(layer.for_pooling(x), masks)
    assert largest.numel == 2**14  # nor that of the step before, four times as large


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_close(dtype, seed):
    layer = SpatialUpsample(5, 16)
    x, masks = torch.randn(1, 5, 3, 4), torch.randn(1, 3, 12, 16)
    expected = mask_pool(layer(x), masks)
    with torch.autocast('cpu', dtype):
        close = mask_pool(layer.for_pooling(x), masks).float()
    torch.testing.assert_close(close, expected, rtol=0.1, atol=0.05)
    pooled = mask_pool(layer.to(dtype).for_pooling(x.to(dtype)), masks.to(dtype))
    assert pooled.dtype == dtype
