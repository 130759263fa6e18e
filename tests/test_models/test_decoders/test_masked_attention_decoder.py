import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import MaskedAttentionDecoder, ops
from mmovseg.models.structures import TextEmbeddings


@pytest.fixture
def decoder(seed):
    return MaskedAttentionDecoder(
        dict(type='mmovseg.MaskEmbedHead'),
        embed_channels=16,
        channels=32,
        num_queries=6,
        num_layers=4,
        num_heads=4,
        ffn_channels=16,
    ).eval()


@pytest.fixture
def text(seed):
    rows = F.normalize(torch.randn(4, 16), dim=-1)
    return TextEmbeddings(rows, torch.tensor([0, 1, 2, 3]), 3)


def make_maps(batch=1):
    """Return mask features of stride 4 and levels, coarsest first."""
    sizes = [(8, 12), (1, 2), (2, 3), (4, 6)]
    first, *levels = (torch.randn(batch, 32, *size) for size in sizes)
    return first, levels


@torch.no_grad()
def test_inference_gives_the_last_prediction_of_training(decoder, text):
    maps = make_maps(2)
    stages = decoder(*maps, text)
    assert len(stages) == 5  # one before the first layer
    [last] = decoder(*maps, text, all_stages=False)
    torch.testing.assert_close(last.mask_logits, stages[-1].mask_logits)
    torch.testing.assert_close(last.class_logits, stages[-1].class_logits)
    with ops.plain():
        [last] = decoder(*maps, text, all_stages=False)
    torch.testing.assert_close(last.mask_logits, stages[-1].mask_logits)


@torch.no_grad()
def test_a_layer_attends_inside_the_mask_and_everywhere_if_it_is_empty(decoder):
    layer, (queries, position) = decoder.layers[0], torch.randn(2, 1, 6, 32)
    layer.self_attention.out_proj.weight.zero_()  # queries do not mix
    keys, values = torch.randn(2, 1, 6, 32)
    masks = torch.full((1, 6, 2, 3), -1.0)
    masks[0, :3, 0] = 1  # the masks of queries 3 to 5 are empty
    before = layer(queries, position, keys, values, masks)
    values[0, 5] += 1  # outside of the masks of queries 0 to 2
    after = layer(queries, position, keys, values, masks)
    changed = (before != after).any(-1)[0].tolist()
    assert changed == [False] * 3 + [True] * 3


@torch.no_grad()
def test_classes_come_from_pooled_mask_features_and_queries(decoder, text):
    mask_features, levels = make_maps()
    stages = decoder(mask_features, levels, text)
    queries = decoder.norm(decoder.query_feat.weight)
    head = decoder.head
    scale = head.logit_scale.exp().clamp(max=100)
    first = stages[0]
    for row, mask, query in zip(
        first.class_logits[0], first.mask_logits[0], queries, strict=True
    ):
        inside = mask_features[0][:, mask > 0]  # [C, positions]
        pooled = inside.mean(1) if inside.numel() else query.new_zeros(32)
        region = head.embed(head.mask_proj(pooled) + query)
        cosines = text.weight @ F.normalize(region, dim=0)
        torch.testing.assert_close(row, scale * cosines, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_batch_equals_its_images(decoder, text):
    mask_features, levels = make_maps(2)
    whole = decoder(mask_features, levels, text)[-1]
    for image in range(2):
        part = slice(image, image + 1)
        alone = decoder(mask_features[part], [x[part] for x in levels], text)[-1]
        torch.testing.assert_close(whole.class_logits[part], alone.class_logits)
        torch.testing.assert_close(whole.mask_logits[part], alone.mask_logits)


def test_everything_learns_but_no_gradient_passes_an_attention_mask(decoder, text):
    stages = decoder(*make_maps(), text)
    total = sum(x.class_logits.mean() + x.mask_logits.square().mean() for x in stages)
    total.backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())


def test_another_number_of_levels_is_refused(decoder, text):
    mask_features, levels = make_maps()
    with pytest.raises(ValueError, match=r'makes 2 levels.*built for 3.*num_levels'):
        decoder(mask_features, levels[:2], text)
