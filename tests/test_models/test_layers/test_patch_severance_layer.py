import pytest
import torch
from torch import nn

from mmovseg.models.layers import PatchSeveranceLayer, build_severance, token_masks

CHANNELS, HEADS = 8, 2


@pytest.fixture
def attention(seed):
    attention = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True).eval()
    nn.init.normal_(attention.in_proj_bias)
    nn.init.normal_(attention.out_proj.bias)
    return attention


@pytest.fixture
def tokens(seed):
    return torch.randn(2, 7, CHANNELS)


@pytest.fixture
def masks(seed):
    return token_masks(torch.randn(2, 3, 2, 3), (2, 3))


def projections(attention, tokens):
    """Query, key and value of every token, by the definition."""
    weights = attention.in_proj_weight.view(3, CHANNELS, CHANNELS)
    biases = attention.in_proj_bias.view(3, CHANNELS)
    return [tokens @ w.T + b for w, b in zip(weights, biases, strict=True)]


def mix_slowly(matrix, values):
    """Sum values with the weights of a ``[T, T]`` matrix, token by token."""
    return torch.stack(
        [sum(row[j] * values[j] for j in range(len(values))) for row in matrix]
    )


def slow_attention_matrix(attention, query, key):
    """Softmax matrix of each head, ``[heads, T, T]``."""
    width = CHANNELS // HEADS
    parts = [slice(i * width, (i + 1) * width) for i in range(HEADS)]
    return [(query[:, p] @ key[:, p].T / width**0.5).softmax(-1) for p in parts]


def test_alpha_zero_is_the_plain_attention_exactly(attention, tokens):
    expected = attention(tokens, tokens, tokens, need_weights=False)[0]
    found = PatchSeveranceLayer('generalized', 0.0)(attention, tokens, None)
    assert torch.equal(found, expected)
    first = tokens.transpose(0, 1)
    attention.batch_first = False  # as in the towers
    expected = attention(first, first, first, need_weights=False)[0].transpose(0, 1)
    found = PatchSeveranceLayer('generalized', 0.0)(attention, tokens, None)
    assert torch.equal(found, expected)


def test_alpha_one_lets_no_token_see_another(attention, tokens):
    layer = PatchSeveranceLayer('generalized', 1.0)
    found = layer(attention, tokens, None)
    changed = tokens.clone()
    changed[:, 1:] += torch.randn(2, 6, CHANNELS)
    assert torch.equal(layer(attention, changed, None)[:, 0], found[:, 0])
    _, _, values = projections(attention, tokens)
    torch.testing.assert_close(found, attention.out_proj(values))


@pytest.mark.parametrize('alpha', [0.0, 0.3, 0.5, 1.0])
def test_generalized_severance_is_equation_2(attention, tokens, alpha):
    found = PatchSeveranceLayer('generalized', alpha)(attention, tokens, None)
    for image, result in zip(tokens, found, strict=True):
        query, key, values = projections(attention, image)
        heads = []
        for index, matrix in enumerate(slow_attention_matrix(attention, query, key)):
            own = values.chunk(HEADS, -1)[index]
            matrix = alpha * torch.eye(7) + (1 - alpha) * matrix
            heads.append(mix_slowly(matrix, own))
        expected = attention.out_proj(torch.cat(heads, -1))
        torch.testing.assert_close(result, expected)


def test_mask_guided_severance_is_equation_1(attention, tokens, masks):
    found = PatchSeveranceLayer('mask_guided')(attention, tokens, masks)
    for image, result, own in zip(tokens, found, masks, strict=True):
        _, _, values = projections(attention, image)
        guide = torch.zeros(7, 7)
        for i in range(7):
            for mask in own:
                guide[i] += mask[i] * mask
        mixed = mix_slowly(guide.softmax(-1), values)
        torch.testing.assert_close(result, attention.out_proj(mixed))


def test_mask_weighted_severance_scales_values_by_covering_masks(
    attention, tokens, masks
):
    found = PatchSeveranceLayer('mask_weighted')(attention, tokens, masks)
    _, _, values = projections(attention, tokens)
    assert masks[:, :, 0].sum(1).tolist() == [3.0, 3.0]  # the class token is in all
    for token in range(7):
        scaled = values[:, token] * masks[:, :, token].sum(1, keepdim=True)
        torch.testing.assert_close(found[:, token], attention.out_proj(scaled))


def test_token_masks_resize_logits_before_the_sigmoid():
    logits = torch.tensor([[[[8.0, -2.0], [8.0, -2.0]]]])
    masks = token_masks(logits, (1, 1))
    torch.testing.assert_close(
        masks, torch.tensor([[[1.0, torch.tensor(3.0).sigmoid()]]])
    )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(mode='gps'), "mode must be one of .*, got 'gps'"),
        (dict(alpha=1.5), r'alpha must be in \[0, 1\], got 1.5'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchSeveranceLayer(**arguments)


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (dict(block=-1), r'severance is a list such as .*, got \{'),
        ('gps', "severance is a list such as .*, got 'gps'"),
        ([-1], r'severance is a list such as .*, got \[-1\]'),
        ([dict(block='-1')], "block is a whole number, got '-1'"),
        ([dict(block=True)], 'block is a whole number, got True'),
    ],
)
def test_what_is_no_list_of_blocks(entries, message):
    with pytest.raises(TypeError, match=message):
        build_severance(entries, 6)
