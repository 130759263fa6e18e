import json

import open_clip
import pytest
import torch

from mmovseg.models.backbones import CLIPViTBackbone
from mmovseg.models.clip import create_clip


def oracle(visual, images, num_blocks):
    """Run the blocks by hand, at the model's own image size."""
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    head = visual.class_embedding.expand(len(x), 1, -1)
    x = visual.ln_pre(torch.cat([head, x], 1) + visual.positional_embedding)
    for block in visual.transformer.resblocks[:num_blocks]:
        x = block(x)
    side = images.shape[-1] // 16
    return x[:, 1:].transpose(1, 2).unflatten(-1, (side, side))


@pytest.mark.parametrize('num_blocks', [1, 3])
def test_first_blocks_equal_a_run_by_hand(num_blocks, seed, tiny_clip):
    torch.manual_seed(5)
    visual = create_clip(tiny_clip['vit']).visual
    torch.manual_seed(5)
    backbone = CLIPViTBackbone(tiny_clip['vit'], num_blocks=num_blocks)
    images = torch.randn(2, 3, 64, 64)
    expected = oracle(visual, images, num_blocks)
    torch.testing.assert_close(backbone(images), expected)


def test_any_multiple_of_the_patch_works_and_only_kept_blocks_exist(tiny_clip):
    backbone = CLIPViTBackbone(tiny_clip['vit'], num_blocks=1)
    out = backbone(torch.randn(1, 3, 96, 32))
    assert out.shape == (1, backbone.embed_dims, 6, 2)
    assert backbone.stride == 16
    assert not any('resblocks.1.' in name for name in backbone.state_dict())


def test_the_table_is_not_changed_by_a_forward_of_another_size(tiny_clip):
    backbone = CLIPViTBackbone(tiny_clip['vit'])
    images = torch.randn(1, 3, 64, 64)
    before = backbone(images)
    backbone(torch.randn(1, 3, 32, 80))
    torch.testing.assert_close(backbone(images), before)


def test_frozen_means_no_gradient_and_eval_mode(tiny_clip):
    backbone = CLIPViTBackbone(tiny_clip['vit']).train()
    backbone.init_weights()
    assert not any(module.training for module in backbone.modules())
    assert not any(p.requires_grad for p in backbone.parameters())


@pytest.mark.parametrize('custom', [False, True])
def test_images_of_a_batch_do_not_see_each_other(custom, tmp_path, tiny_clip):
    config = open_clip.get_model_config(tiny_clip['vit'])
    config['vision_cfg']['qk_norm'] = custom  # takes open_clip's own attention
    (tmp_path / f'vit-{custom}.json').write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    backbone = CLIPViTBackbone(f'vit-{custom}')
    images = torch.randn(3, 3, 64, 64)
    alone = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), alone)


@pytest.mark.parametrize('num_blocks', [0, 5])
def test_a_wrong_number_of_blocks_is_refused(num_blocks, tiny_clip):
    with pytest.raises(ValueError, match=rf'\[1, 4\].*got {num_blocks}'):
        CLIPViTBackbone(tiny_clip['vit'], num_blocks=num_blocks)


def test_a_resnet_is_refused(tiny_clip):
    with pytest.raises(ValueError, match='CLIPConvBackbone'):
        CLIPViTBackbone(tiny_clip['resnet'])
