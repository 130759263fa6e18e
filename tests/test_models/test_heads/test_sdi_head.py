import pytest
import torch

from mmovseg.models.heads import SDIHead, TDEEHead
from mmovseg.models.ops import mask_pool


@torch.no_grad()
def test_embeds_both_pools_and_adds_the_kernel(seed):
    head = SDIHead(8, 6, embed_channels=5, num_queries=3)
    pixels, spatial = torch.randn(2, 8, 4, 4), torch.randn(2, 6, 4, 4)
    masks, kernels = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 8)
    mask = head.mask_proj(mask_pool(pixels, masks))
    space = head.spatial_proj(mask_pool(spatial, masks))
    expected = head.embed(head.interaction(mask, space) + kernels)
    torch.testing.assert_close(head(pixels, spatial, masks, kernels), expected)
    torch.testing.assert_close(head.logit_scale.exp(), torch.tensor(1 / 0.07))


@pytest.mark.parametrize('head', [SDIHead, TDEEHead])
def test_missing_spatial_features_are_named(head):
    numbers = {'num_queries': 3} if head is SDIHead else {}
    with pytest.raises(ValueError, match=rf'{head.__name__} needs .*MaskEmbedHead'):
        head(8, None, embed_channels=5, **numbers)
