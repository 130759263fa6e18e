import pytest
import torch

from mmovseg.models import CALHead, ConvCALHead, MaskPoolHead
from mmovseg.models.layers import sine_position

D, N, SIZE = 16, 3, (4, 5)


@pytest.fixture
def features(seed):
    return torch.nn.functional.normalize(torch.randn(2, D, *SIZE), dim=1)


@pytest.fixture
def masks(seed):
    return torch.randn(2, N, 16, 20)


def small_masks(masks):
    """Probabilities on the grid: sigmoid first, then the resize."""
    return torch.nn.functional.interpolate(masks.sigmoid(), SIZE, mode='bilinear')


@torch.no_grad()
def test_mask_pooling_is_a_weighted_sum(features, masks):
    regions, heatmaps = MaskPoolHead()(features, masks)
    torch.testing.assert_close(heatmaps, small_masks(masks))
    for image in range(2):
        for query in range(N):
            expected = sum(
                heatmaps[image, query, y, x] * features[image, :, y, x]
                for y in range(SIZE[0])
                for x in range(SIZE[1])
            )
            torch.testing.assert_close(regions[image, query], expected)


@torch.no_grad()
@pytest.mark.parametrize('num_layers', [0, 1, 2])
def test_paper_form_is_equation_3(features, masks, num_layers):
    head = CALHead(D, N, num_layers=num_layers, num_heads=2, ffn_channels=8).eval()
    regions, heatmaps = head(features, masks)
    values = features.flatten(2).transpose(1, 2)
    keys = values + sine_position(SIZE, D)
    query_pos = head.queries.weight.expand(2, -1, -1)
    target = torch.zeros(2, N, D)
    for layer in head.layers:
        target = layer(target, query_pos, keys, values)
    query = target + query_pos
    update = head.output.self_attention(query, query, target)[0]
    query = head.output.norm(target + update) + query_pos
    attention = (query @ values.transpose(1, 2) / D**0.5).softmax(-1)
    expected = attention * small_masks(masks).flatten(2)
    torch.testing.assert_close(heatmaps.flatten(2), expected)
    torch.testing.assert_close(regions, expected @ values)


@torch.no_grad()
def test_released_form_pools_each_slice_with_its_own_heatmap(features, masks):
    head = CALHead(D, N, form='released', num_heads=4, ffn_channels=8).eval()
    regions, heatmaps = head(features, masks)
    values = features.flatten(2).transpose(1, 2)
    keys = values + sine_position(SIZE, D)
    query_pos = head.queries.weight.expand(2, -1, -1)
    target = head.layers[0](torch.zeros(2, N, D), query_pos, keys, values)
    query = target + query_pos
    update = head.output.self_attention(query, query, target)[0]
    query = head.output.query_proj(head.output.norm(target + update) + query_pos)
    keys = head.output.key_proj(keys)
    maps = []
    for index in range(4):
        own = slice(4 * index, 4 * index + 4)
        attention = (query[..., own] @ keys[..., own].transpose(1, 2) / 2).softmax(-1)
        maps.append(attention * small_masks(masks).flatten(2))
        torch.testing.assert_close(regions[..., own], maps[-1] @ values[..., own])
    torch.testing.assert_close(heatmaps.flatten(2), torch.stack(maps).mean(0))


@torch.no_grad()
def test_conv_form_is_equation_4(features, masks):
    head = ConvCALHead(D, 2, channels=8, chunk_size=2).eval()
    regions, heatmaps = head(features, masks)
    soft = small_masks(masks)
    for image in range(2):
        for query in range(N):
            masked = (soft[image, query] * features[image])[None]
            expected = head.convs(masked).flatten().softmax(0)
            torch.testing.assert_close(heatmaps[image, query].flatten(), expected)
            pooled = features[image].flatten(1) @ expected
            torch.testing.assert_close(regions[image, query], pooled)
    assert sum(isinstance(x, torch.nn.BatchNorm2d) for x in head.convs) == 2


@torch.no_grad()
def test_an_empty_mask_gives_zeros(features):
    masks = torch.full((2, N, 16, 20), -torch.inf)
    regions, heatmaps = CALHead(D, N, num_heads=2).eval()(features, masks)
    assert not regions.any()
    assert not heatmaps.any()


@pytest.mark.parametrize('head', ['paper', 'released', 'conv'])
def test_everything_in_a_head_learns(features, masks, head):
    if head == 'conv':
        model = ConvCALHead(D, 1, channels=8)
    else:
        model = CALHead(D, N, form=head, num_heads=2)
    model.train()(features, masks)[0].square().sum().backward()
    without = [k for k, p in model.named_parameters() if p.grad is None]
    assert not without


def test_wrong_numbers_are_named(features, masks):
    with pytest.raises(ValueError, match=r"form must be one of .*, got 'official'"):
        CALHead(D, form='official')
    with pytest.raises(ValueError, match='5 anchor queries, but there are 3 proposals'):
        CALHead(D, 5, num_heads=2)(features, masks)
