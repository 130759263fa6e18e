import torch

from mmovseg.models.decoders.lite_decoder import DynamicDepthwiseAttention


@torch.no_grad()
def test_equals_a_loop_over_batch_queries_and_channels(seed):
    layer = DynamicDepthwiseAttention(6)
    queries, features = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    taps = layer.taps(queries)
    expected = torch.zeros(2, 4, 6)
    for b in range(2):
        for n in range(4):
            for c in range(6):
                for t in range(3):
                    if 0 <= c + t - 1 < 6:
                        expected[b, n, c] += taps[b, n, t] * features[b, n, c + t - 1]
    torch.testing.assert_close(layer(queries, features), layer.norm(expected))
