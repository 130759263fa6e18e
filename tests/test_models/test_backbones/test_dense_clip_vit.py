import open_clip
import pytest
import torch
import torch.nn.functional as F

from mmovseg.models import DenseCLIPViT

GPS = dict(mode='generalized', alpha=1.0)


def build(severance=(), **kwargs):
    torch.manual_seed(0)
    return DenseCLIPViT('toy-vit', severance=severance, **kwargs).eval()


@pytest.fixture
def images(seed):
    return torch.randn(2, 3, 64, 64)


@torch.no_grad()
def test_patches_are_what_clip_itself_projects(tiny_clip, images):
    backbone = build()
    visual = backbone.visual
    visual.output_tokens = True  # open_clip then returns the normed patches too
    _, tokens = visual(images)
    visual.output_tokens = False
    expected = F.normalize(tokens @ visual.proj, dim=-1)  # [B, L, D]
    found = backbone(images).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_class_token_is_open_clips(tiny_clip, images):
    backbone = build(severance=[dict(block=-1, **GPS)])
    torch.manual_seed(0)
    clip = open_clip.create_model('toy-vit').eval()
    clip.visual.load_state_dict(backbone.visual.state_dict())
    expected = clip.encode_image(images, normalize=True)
    torch.testing.assert_close(backbone.encode_image(images), expected)


@torch.no_grad()
@pytest.mark.parametrize('prompt', [None, 'AddedPrompt', 'PrependedPrompt'])
def test_alpha_zero_changes_nothing(tiny_clip, images, prompt):
    kwargs = {}
    if prompt is not None:
        kwargs['visual_prompt'] = dict(type=prompt, blocks=[1, 2])
    severance = [dict(block=index, alpha=0.0) for index in range(4)]
    assert torch.equal(build(severance, **kwargs)(images), build(**kwargs)(images))


@torch.no_grad()
@pytest.mark.parametrize('severance', [[], [dict(block=2, alpha=0.5)]])
def test_images_of_a_batch_do_not_see_each_other(tiny_clip, images, severance):
    backbone = build(severance)
    alone = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), alone)


@torch.no_grad()
@pytest.mark.parametrize('alpha', [0.5, 1.0])
def test_patches_attend_to_prompts_as_far_as_alpha_lets_them(tiny_clip, images, alpha):
    prompt = dict(type='PrependedPrompt', blocks=[2])
    backbone = build([dict(block=2, alpha=alpha)], visual_prompt=prompt)
    before = backbone(images)
    backbone.visual_prompt.tokens += 1.0
    assert torch.equal(backbone(images), before) == (alpha == 1.0)


@torch.no_grad()
def test_all_blocks_severed_see_their_own_patch_only(tiny_clip):
    backbone = build([dict(block=index, **GPS) for index in range(4)])
    image = torch.randn(1, 3, 48, 80)
    before = backbone(image)
    assert before.shape == (1, backbone.embed_dims, 3, 5)
    image[..., 16:32, 32:48] += 1.0
    changed = (backbone(image) - before).abs().amax(1)[0] > 0
    expected = torch.zeros(3, 5, dtype=torch.bool)
    expected[1, 2] = True
    assert torch.equal(changed, expected)


@torch.no_grad()
def test_one_severed_block_still_mixes_in_the_others(tiny_clip):
    backbone = build([dict(block=-1, **GPS)])
    image = torch.randn(1, 3, 32, 32)
    before = backbone(image)
    image[..., :16, :16] += 1.0
    assert ((backbone(image) - before).abs().amax(1) > 0).all()


@torch.no_grad()
@pytest.mark.parametrize('mode', ['mask_guided', 'mask_weighted'])
def test_masks_matter_only_where_they_are_asked_for(tiny_clip, images, mode):
    masks = torch.randn(2, 2, 3, 8, 8)
    backbone = build([dict(block=2, mode=mode)])
    assert not torch.equal(backbone(images, masks[0]), backbone(images, masks[1]))
    plain = build([dict(block=2, **GPS)])
    assert torch.equal(plain(images, masks[0]), plain(images))
    with pytest.raises(ValueError, match=r'needs mask_logits, got None'):
        backbone(images)


@torch.no_grad()
def test_residual_scale_scales_the_input_of_the_block(tiny_clip, images):
    whole, part = (
        build([dict(block=3, residual_scale=scale, **GPS)])(images)
        for scale in (1.0, 0.2)
    )
    assert (whole - part).abs().max() > 1e-2


@torch.no_grad()
@pytest.mark.parametrize('severed', [(), (-1,), (1, 3)])
def test_prepended_tokens_leave_the_size_alone(tiny_clip, images, severed):
    prompt = dict(type='PrependedPrompt', blocks=[1, 2])
    backbone = build([dict(block=b, **GPS) for b in severed], visual_prompt=prompt)
    found = backbone(images)
    assert found.shape == (2, backbone.embed_dims, 4, 4)
    backbone.visual_prompt.tokens[0] += 1.0
    differs = not torch.equal(backbone(images), found)
    # Severed as well, block 1 throws its learned tokens away unseen.
    assert differs == (severed != (1, 3))


def test_only_prompts_train(tiny_clip, images):
    backbone = build(visual_prompt=dict(type='AddedPrompt', blocks=[1])).train()
    assert not backbone.visual.training
    backbone(images)[:, 0].sum().backward()
    trained = {k for k, p in backbone.named_parameters() if p.grad is not None}
    assert trained == {'visual_prompt.tables.0', 'visual_prompt.tables.1'}
    assert all(p.grad.abs().sum() > 0 for p in backbone.visual_prompt.tables)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(severance=[dict(block=4)]), 'no block 4: the tower has 4'),
        (dict(severance=[dict(block=-5)]), 'no block -5: the tower has 4'),
        (dict(severance=[dict(block=3), dict(block=-1)]), 'Block -1 is severed twice'),
        (
            dict(visual_prompt=dict(type='AddedPrompt', blocks=[9])),
            'no block 9: the tower has 4',
        ),
    ],
)
def test_wrong_blocks_are_named(tiny_clip, arguments, message):
    with pytest.raises(ValueError, match=message):
        DenseCLIPViT('toy-vit', **arguments)


def test_a_convolutional_clip_is_refused(tiny_clip):
    with pytest.raises(ValueError, match="'tiny-rn' has no vision transformer"):
        DenseCLIPViT('tiny-rn')
