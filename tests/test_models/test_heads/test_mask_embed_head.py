import pytest
import torch

from mmovseg.models.heads import MaskEmbedHead
from mmovseg.models.ops import mask_pool


@torch.no_grad()
def test_embeds_the_pooled_mask_and_adds_the_kernel(seed):
    head = MaskEmbedHead(8, embed_channels=5)
    pixels, masks = torch.randn(2, 8, 4, 4), torch.randn(2, 3, 4, 4)
    kernels = torch.randn(2, 3, 8)
    expected = head.embed(head.mask_proj(mask_pool(pixels, masks)) + kernels)
    torch.testing.assert_close(head(pixels, None, masks, kernels), expected)
    torch.testing.assert_close(head.logit_scale.exp(), torch.tensor(1 / 0.07))


def test_spatial_features_that_would_be_lost_are_refused():
    with pytest.raises(ValueError, match='EarlyFusionDecoder'):
        MaskEmbedHead(8, 6, embed_channels=5)
