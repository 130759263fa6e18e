import torch

from mmovseg.models.layers import sine_position
from projects.eovseg_ablations.cross_attention_decoder import CrossAttentionStage


def attend(stage, kernels, masks, features):
    """Attend with each query to the pixels inside its mask, one head at a time."""
    layer = stage.cross_attention
    width = kernels.shape[-1] // layer.num_heads
    values = features.flatten(2).transpose(1, 2)
    keys = values + sine_position(features.shape[-2:], features.shape[1])
    parts = zip(
        (kernels, keys, values),
        layer.in_proj_weight.chunk(3),
        layer.in_proj_bias.chunk(3),
        strict=True,
    )
    q, k, v = (x @ weight.T + bias for x, weight, bias in parts)
    out = torch.zeros_like(kernels)
    for b, n in torch.cartesian_prod(*map(torch.arange, kernels.shape[:2])):
        inside = masks[b, n].flatten()
        if not inside.any():
            inside = ~inside
        for head in range(layer.num_heads):
            part = slice(head * width, (head + 1) * width)
            scores = k[b, inside, part] @ q[b, n, part] / width**0.5
            out[b, n, part] = scores.softmax(0) @ v[b, inside, part]
    return stage.kernels_norm(kernels + layer.out_proj(out))


@torch.no_grad()
def test_queries_attend_to_pixels_inside_their_masks(seed):
    stage = CrossAttentionStage(8, num_heads=2, ffn_channels=16).eval()
    kernels, features = torch.randn(2, 3, 8), torch.randn(2, 8, 4, 5)
    masks = torch.rand(2, 3, 4, 5) > 0.6
    masks[0, 1] = False
    torch.nn.init.normal_(stage.cross_attention.in_proj_bias)
    expected = attend(stage, kernels, masks, features)
    torch.testing.assert_close(stage.interact(kernels, masks, features), expected)


@torch.no_grad()
def test_it_differs_from_the_other_stage_in_the_interaction_only(seed):
    stage = CrossAttentionStage(8, num_heads=2, ffn_channels=16).eval()
    kernels, features = torch.randn(1, 3, 8), torch.randn(1, 8, 4, 4)
    logits = torch.randn(1, 3, 4, 4)
    new, masks = stage(kernels, logits, features)
    x = stage.interact(kernels, logits > 0, features)
    x = stage.attention_norm(x + stage.self_attention(x, x, x)[0])
    x = stage.ffn_norm(x + stage.ffn(x))
    torch.testing.assert_close(new, x)
    expected = torch.einsum('bnc,bchw->bnhw', stage.mask_kernels(x), features)
    torch.testing.assert_close(masks, expected)
    assert not hasattr(stage, 'refine_kernels')
