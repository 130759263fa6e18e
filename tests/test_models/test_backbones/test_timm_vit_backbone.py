import pickle

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from mmovseg.models.backbones import TimmViTBackbone

NAME = 'test_vit'  # of timm: 6 blocks of width 64, trained at 160 x 160


def oracle(model, images, num_blocks):
    """Run the blocks by hand, at the model's own image size."""
    x = model.patch_embed.proj(images).flatten(2).transpose(1, 2)
    x = torch.cat([model.cls_token.expand(len(x), 1, -1), x], 1) + model.pos_embed
    for block in model.blocks[:num_blocks]:
        x = block(x)
    return x[:, 1:].transpose(1, 2).unflatten(-1, (10, 10))


@torch.no_grad()
@pytest.mark.parametrize('num_blocks', [1, 4])
def test_first_blocks_equal_a_run_by_hand(num_blocks):
    torch.manual_seed(5)
    model = timm.create_model(NAME).eval()
    torch.manual_seed(5)
    backbone = TimmViTBackbone(NAME, num_blocks=num_blocks)
    images = torch.randn(2, 3, 160, 160)
    expected = oracle(model, images, num_blocks)
    torch.testing.assert_close(backbone(images), expected)
    assert len(backbone.model.blocks) == num_blocks


@torch.no_grad()
def test_blocks_of_sam_with_windows_and_with_global_attention(seed):
    backbone = TimmViTBackbone('samvit_base_patch16', num_blocks=3)
    model = backbone.model
    table = torch.nn.init.normal_(model.pos_embed).permute(0, 3, 1, 2)
    table = F.interpolate(table, (6, 4), mode='bicubic', antialias=True)
    images = torch.randn(1, 3, 96, 64)
    x = (model.patch_embed.proj(images) + table).permute(0, 2, 3, 1)
    for block in model.blocks:
        x = block(x)
    torch.testing.assert_close(backbone(images), x.permute(0, 3, 1, 2))
    assert [block.window_size for block in model.blocks] == [14, 14, 0]
    assert not any('neck' in name for name in backbone.state_dict())


@torch.no_grad()
def test_the_stride_is_16_also_for_patches_of_14(seed):
    backbone = TimmViTBackbone('vit_small_patch14_dinov2', num_blocks=1)
    assert (backbone.stride, backbone.patch_size) == (16, 14)
    images = torch.randn(1, 3, 64, 96)
    small = F.interpolate(images, (56, 84), mode='bilinear')
    tokens = backbone.model.forward_intermediates(
        small, indices=1, intermediates_only=True
    )
    torch.testing.assert_close(backbone(images), tokens[0])
    assert tokens[0].shape == (1, backbone.embed_dims, 4, 6)


@torch.no_grad()
@pytest.mark.parametrize(
    ('size', 'grid'), [((7, 40), (1, 2)), ((70, 95), (4, 5)), ((160, 160), (10, 10))]
)
def test_images_of_any_size(size, grid):
    assert TimmViTBackbone(NAME)(torch.randn(1, 3, *size)).shape == (1, 64, *grid)


def test_frozen_means_no_gradient_and_eval_mode(seed):
    backbone = TimmViTBackbone(NAME).train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone(torch.randn(1, 3, 32, 32, requires_grad=True)).requires_grad
    state = backbone.state_dict()
    assert all(torch.equal(state[name], value) for name, value in before.items())


@torch.no_grad()
@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
def test_weights_come_from_a_file(tmp_path, suffix):
    torch.manual_seed(5)
    model = timm.create_model(NAME).eval()
    path = tmp_path / f'weights{suffix}'
    save = save_file if suffix == '.safetensors' else torch.save
    save(model.state_dict(), path)
    backbone = TimmViTBackbone(NAME, str(path), num_blocks=2)
    images = torch.randn(1, 3, 160, 160)
    torch.testing.assert_close(backbone(images), oracle(model, images, 2))


class Harmful:
    def __reduce__(self):
        return print, ('code of the file runs',)


def test_a_file_runs_no_code(tmp_path, capsys):
    path = tmp_path / 'weights.pth'
    torch.save({'state_dict': {'x': Harmful()}}, path)
    with pytest.raises(
        (RuntimeError, pickle.UnpicklingError), match=r'(?i)weights.only'
    ):
        TimmViTBackbone(NAME, str(path))
    assert 'code of the file runs' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('name', 'options', 'error', 'message'),
    [
        ('vit_unknown', {}, ValueError, "'vit_unknown'"),
        ('test_vit.r160_in1k', {}, ValueError, 'tag'),
        ('resnet18', {}, ValueError, 'no plain ViT'),
        (NAME, dict(num_blocks=0), ValueError, r'\[1, 6\].*got 0'),
        (NAME, dict(num_blocks=7), ValueError, r'\[1, 6\].*got 7'),
        (NAME, dict(pretrained='openai'), ValueError, "'openai'.*r160_in1k"),
        (NAME, dict(pretrained='no/such.pth'), FileNotFoundError, r'no/such\.pth'),
    ],
)
def test_mistakes_are_named(name, options, error, message):
    with pytest.raises(error, match=message):
        TimmViTBackbone(name, **options)
