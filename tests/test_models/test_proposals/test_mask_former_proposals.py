import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import nn

from mmovseg.models.layers import sine_position
from mmovseg.models.proposals import MaskFormerProposals
from mmovseg.registry import MODELS

RESNET = dict(
    type='ResNetV1c',
    depth=18,
    base_channels=8,
    stem_channels=16,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
)


class Strides(BaseModule):
    """Averages of an image, repeated to the wanted number of channels."""

    def __init__(self, widths):
        super().__init__()
        self.widths = widths
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return tuple(
            F.avg_pool2d(self.factor * images, 4 << level).repeat(1, width // 3, 1, 1)
            for level, width in enumerate(self.widths)
        )


@pytest.fixture(autouse=True, scope='module')
def _register():
    MODELS.register_module(module=Strides, name='StridesOfProposals')
    yield
    MODELS.module_dict.pop('StridesOfProposals')


def make(widths=(3, 6, 9, 12), **changes):
    torch.manual_seed(0)
    options = dict(num_queries=7, channels=32, num_layers=3, ffn_channels=64)
    backbone = dict(type='StridesOfProposals', widths=widths)
    return MaskFormerProposals(backbone, **options | changes)


def test_parameters_of_the_released_size():
    model = MaskFormerProposals(
        dict(type='StridesOfProposals', widths=(255, 513, 1023, 2049)),
        embed_channels=512,
    )
    count = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in model.named_children()
    }
    assert count['class_embed'] == 787968
    count['input_proj'] -= 256  # 2049 channels here, 2048 there
    names = ('input_proj', 'queries', 'layers', 'norm', 'mask_embed')
    assert sum(count[name] for name in names) == 10220544


@torch.no_grad()
def test_masks_are_products_of_query_and_pixel_embeddings(seed):
    model = make(embed_channels=5).eval()
    images = torch.randn(2, 3, 64, 96)
    features = model.backbone(images)
    pixels = model.pixel_decoder(features)
    memory = model.input_proj(features[-1])
    for b in range(2):
        values = memory[b].flatten(1).T[None]
        keys = values + sine_position((2, 3), 32)
        target, position = torch.zeros(1, 7, 32), model.queries.weight[None]
        for layer in model.layers:
            target = layer(target, position, keys, values)
        target = model.norm(target[0])
        kernels = model.mask_embed(target)
        [(mask_logits, regions, _)] = model(images[b : b + 1])
        expected = (kernels @ pixels[b].flatten(1)).view(7, 16, 24)
        torch.testing.assert_close(mask_logits[0], expected)
        torch.testing.assert_close(regions[0], model.class_embed(target))
        # One call for both images is two calls.
        [together] = model(images)
        torch.testing.assert_close(together.mask_logits[b], mask_logits[0])
        torch.testing.assert_close(together.region_embeds[b], regions[0])


@torch.no_grad()
def test_training_gives_every_layer_and_inference_the_last(seed):
    model = make(dropout=0.0).train()
    images = torch.randn(1, 3, 64, 64)
    stages = model(images)
    [last] = model.eval()(images)
    assert len(stages) == 3
    assert all(stage.region_embeds is None for stage in stages)
    torch.testing.assert_close(stages[-1].mask_logits, last.mask_logits)
    assert not torch.allclose(stages[0].mask_logits, last.mask_logits)
    # Each layer is judged by the norm and the embedding that the last one uses.
    model.layers = model.layers[:1]
    torch.testing.assert_close(model(images)[0].mask_logits, stages[0].mask_logits)


@torch.no_grad()
def test_permuted_queries_permute_the_masks(seed):
    model = make().eval()
    images, order = torch.randn(1, 3, 64, 64), torch.randperm(7)
    [before] = model(images)
    model.queries.weight.copy_(model.queries.weight[order])
    [after] = model(images)
    torch.testing.assert_close(after.mask_logits, before.mask_logits[:, order])


def test_a_resnet_of_mmseg_trains_its_convolutions_and_not_its_norms(seed):
    model = MaskFormerProposals(
        RESNET | dict(init_cfg=None), 4, channels=32, num_layers=2, embed_channels=6
    )
    assert [m[0].in_channels for m in model.pixel_decoder.laterals] == [8, 16, 32]
    model.train()
    stages = model(torch.randn(2, 3, 64, 64))
    sum(
        s.mask_logits.square().mean() + s.region_embeds.sum() for s in stages
    ).backward()
    for name, parameter in model.named_parameters():
        frozen = '.bn' in name or 'downsample.1' in name
        frozen |= name.startswith('backbone.stem') and parameter.dim() == 1
        assert (parameter.grad is None) == frozen, name
        # All queries start at zero: the first self-attention has nothing to mix.
        idle = name.startswith(('layers.0.self_attention', 'layers.0.norm1'))
        assert frozen or idle or parameter.grad.any(), name
    assert not model.backbone.layer1[0].bn1.training


def test_initialization(seed):
    model = make(channels=64, ffn_channels=512)
    for weight in (
        model.layers[0].self_attention.out_proj.weight,
        model.layers[2].ffn[0].weight,
    ):
        bound = (6 / sum(weight.shape)) ** 0.5
        assert 0.95 * bound < weight.abs().max() <= bound
    assert not model.input_proj.bias.any()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.init_weights()  # MMEngine's: only the backbone has its own
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize('value', [0, 40, -32])
def test_width_has_to_suit_the_norms(value):
    with pytest.raises(ValueError, match=f'multiple of 32, got {value}'):
        make(channels=value)


def test_a_layer_is_needed():
    with pytest.raises(ValueError, match='num_layers must be at least 1, got 0'):
        make(num_layers=0)


@torch.no_grad()
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_is_finite(seed, dtype):
    model = make(embed_channels=5).eval().to(dtype)
    [(mask_logits, regions, _)] = model(torch.randn(1, 3, 64, 64).to(dtype))
    assert mask_logits.dtype == regions.dtype == dtype
    assert mask_logits.isfinite().all() and regions.isfinite().all()
