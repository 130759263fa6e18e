import torch
import torch.nn.functional as F

from mmovseg.models.heads import LiteDecoder
from mmovseg.models.structures import TextEmbeddings


def make():
    decoder = LiteDecoder(
        dict(type='mmovseg.TDEEHead'),
        6,
        embed_channels=5,
        channels=16,
        num_stages=3,
        num_queries=4,
    )
    weight = F.normalize(torch.randn(4, 5), dim=-1)
    text = TextEmbeddings(weight, torch.tensor([0, 1, 1, 2]), 2)
    return decoder, text, torch.randn(2, 16, 8, 8), torch.randn(2, 6, 2, 2)


@torch.no_grad()
def test_the_last_stage_alone_equals_the_last_of_all(seed):
    decoder, text, pixels, spatial = make()
    stages = decoder(pixels, spatial, text)
    alone = decoder(pixels, spatial, text, all_stages=False)
    assert len(stages) == 3
    assert len(alone) == 1
    torch.testing.assert_close(tuple(alone[0]), tuple(stages[-1]))
    assert stages[0].class_logits.shape == (2, 4, 3)
    assert stages[0].mask_logits.shape == (2, 4, 8, 8)


@torch.no_grad()
def test_inference_classifies_once(seed):
    decoder, text, pixels, spatial = make()
    calls = []
    for head in decoder.heads:
        head.register_forward_hook(lambda *_: calls.append(1))
    decoder(pixels, spatial, text, all_stages=False)
    assert len(calls) == 1


@torch.no_grad()
def test_the_factor_of_the_cosine_is_bounded(seed):
    decoder, text, pixels, spatial = make()
    decoder.heads[-1].logit_scale.fill_(9.0)
    logits = decoder(pixels, spatial, text)[-1].class_logits
    assert 0 < logits.abs().max() <= 100
