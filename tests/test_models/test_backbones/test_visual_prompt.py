import pytest
import torch

from mmovseg.models import AddedPrompt, PrependedPrompt

GRID = (2, 3)


def test_added_tables_reach_tower_and_listed_blocks(seed):
    prompt = AddedPrompt([1], resolution=32, channels=4, patch_size=8)
    assert [tuple(table.shape) for table in prompt.tables] == [(17, 4), (5, 4)]
    tokens = torch.randn(2, 5, 4)
    assert torch.equal(prompt.before_block(tokens, 0, (2, 2)), tokens)
    found = prompt.before_block(tokens, 1, (2, 2))
    torch.testing.assert_close(found, tokens + prompt.tables[1])


def test_added_tables_are_resized_bicubically(seed):
    prompt = AddedPrompt([], resolution=32, channels=4, patch_size=8)
    found = prompt.embed(torch.zeros(1, 7, 4), GRID)[0]
    table = prompt.tables[0]
    torch.testing.assert_close(found[0], table[0])  # the class row keeps its value
    grid = table[1:].T.view(1, 4, 4, 4)
    grid = torch.nn.functional.interpolate(grid, GRID, mode='bicubic')
    torch.testing.assert_close(found[1:], grid[0].flatten(1).T)


def test_tokens_are_inserted_then_replaced(seed):
    prompt = PrependedPrompt([1, 2, 4], 2, channels=4, patch_size=8).eval()
    tokens = torch.randn(2, 7, 4)
    first = prompt.before_block(tokens, 1, GRID)
    expected = torch.cat(
        [tokens[:, :1], prompt.tokens[0].expand(2, -1, -1), tokens[:, 1:]], 1
    )
    assert torch.equal(first, expected)
    second = prompt.before_block(first, 2, GRID)
    expected[:, 1:3] = prompt.tokens[1]
    assert torch.equal(second, expected)
    assert torch.equal(prompt.before_block(second, 3, GRID), second)
    # Block 3 is not listed: the tokens of block 4 join those that are there.
    assert prompt.before_block(second, 4, GRID).shape == (2, 11, 4)


@pytest.mark.parametrize('kind', [AddedPrompt, PrependedPrompt])
@pytest.mark.parametrize('frozen', [True, False])
def test_frozen_prompts_have_no_gradient(kind, frozen):
    prompt = kind([0], channels=4, patch_size=8, frozen=frozen)
    assert all(p.requires_grad != frozen for p in prompt.parameters())


@pytest.mark.parametrize('kind', [AddedPrompt, PrependedPrompt])
def test_init_weights_keeps_the_prompt(kind):
    prompt = kind([0], channels=4, patch_size=8)
    before = [p.clone() for p in prompt.parameters()]
    prompt.init_weights()
    for old, new in zip(before, prompt.parameters(), strict=True):
        assert torch.equal(old, new)
