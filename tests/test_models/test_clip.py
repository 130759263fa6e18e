import open_clip
import pytest
import torch

from mmovseg.models.clip import (
    TINY_CLIP_DIR,
    create_clip,
    create_visual_transformer,
    resize_position_embedding,
    resolve_model_name,
)
from mmovseg.models.ops import PatchConv


@pytest.mark.parametrize(
    ('name', 'pretrained', 'expected'),
    [
        ('RN50', 'openai', 'RN50-quickgelu'),
        ('RN50x4', 'openai', 'RN50x4-quickgelu'),
        ('ViT-B-16', 'openai', 'ViT-B-16-quickgelu'),
        ('ViT-L-14-336', 'openai', 'ViT-L-14-336-quickgelu'),
        ('RN50-quickgelu', 'openai', 'RN50-quickgelu'),
        ('RN50', None, 'RN50'),
        ('ViT-B-16', 'laion2b_s34b_b88k', 'ViT-B-16'),
        (
            'convnext_large_d_320',
            'laion2b_s29b_b131k_ft_soup',
            'convnext_large_d_320',
        ),
    ],
)
def test_openai_weights_get_quick_gelu(name, pretrained, expected):
    assert resolve_model_name(name, pretrained) == expected


def test_the_image_tower_shares_the_frozen_weight_of_the_patches(tiny_clip):
    conv = create_visual_transformer(tiny_clip['vit']).conv1
    assert isinstance(conv, PatchConv)
    assert not conv.training and not conv.weight.requires_grad


def test_quick_gelu_reaches_the_text_tower(tiny_clip):
    model = create_clip(tiny_clip['resnet'])
    activation = model.transformer.resblocks[0].mlp.gelu
    x = torch.tensor([1.5])
    torch.testing.assert_close(activation(x), x * torch.sigmoid(1.702 * x))


def test_a_local_file_restores_the_weights_without_a_network(tiny_clip, tmp_path):
    from safetensors.torch import save_file

    source = create_clip(tiny_clip['vit'])
    state = {k: v.contiguous() for k, v in source.state_dict().items()}
    save_file(state, tmp_path / 'clip.safetensors')
    torch.save(state, tmp_path / 'clip.pt')
    for name in ('clip.safetensors', 'clip.pt'):
        loaded = create_clip(tiny_clip['vit'], str(tmp_path / name)).state_dict()
        assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_a_file_with_nan_is_refused(tiny_clip, tmp_path):
    weights = create_clip(tiny_clip['vit']).state_dict()
    weights['visual.conv1.weight'][0, 0, 0, 0] = torch.nan
    torch.save(weights, tmp_path / 'clip.pth')
    with pytest.raises(ValueError, match=r'clip\.pth.*visual\.conv1\.weight'):
        create_clip(tiny_clip['vit'], str(tmp_path / 'clip.pth'))


def test_a_pickle_with_code_is_refused(tiny_clip, tmp_path):
    path = tmp_path / 'clip.pt'
    witness = tmp_path / 'ran'

    class Evil:
        def __reduce__(self):
            return (open, (str(witness), 'w'))

    torch.save({'state_dict': Evil()}, path)
    with pytest.raises(Exception, match=r'(?i)weights'):
        create_clip(tiny_clip['vit'], str(path))
    assert not witness.exists()


@pytest.mark.parametrize('name', ['tiny-rn', 'tiny-vit', 'tiny-vit-whole'])
def test_packaged_weights_know_the_words_of_shapeworld(name):
    """Captions are named, of any form; so the towers are not random."""
    clip = create_clip(name, 'shapeworld')
    tokenizer = open_clip.get_tokenizer(name)
    names = ['red star', 'violet heart', 'blue box', 'stripy disc', 'sand', 'lawn']
    captions = [f'There is a small {name} in the scene.' for name in names]
    plain = ['red star', 'purple heart', 'blue square', 'striped circle', 'sand']
    one, two = (
        clip.encode_text(tokenizer(texts), normalize=True)
        for texts in (captions, [*plain, 'grass'])
    )
    assert (one @ two.T).argmax(1).tolist() == list(range(len(names)))
    assert sum(p.stat().st_size for p in TINY_CLIP_DIR.iterdir()) < 18e6


def test_a_tiny_clip_without_packaged_weights_says_so():
    with pytest.raises(ValueError, match="'tiny-convnext' has no weights 'shapeworld'"):
        create_clip('tiny-convnext', 'shapeworld')


@pytest.mark.parametrize(
    ('name', 'pretrained', 'error', 'message'),
    [
        ('RN51', None, ValueError, 'RN51'),
        ('RN50', 'opanai', ValueError, 'opanai'),
        ('RN50', 'missing/clip.pt', FileNotFoundError, 'missing/clip.pt'),
    ],
)
def test_wrong_names_are_named(name, pretrained, error, message):
    with pytest.raises(error, match=message):
        create_clip(name, pretrained)


def test_position_table_resizes_its_grid_and_keeps_the_class_row():
    table = torch.arange(5.0).unsqueeze(1)  # class row 0, grid 1 2 / 3 4
    assert resize_position_embedding(table, (2, 2)) is table
    wide = resize_position_embedding(table, (2, 4))
    expected = [0, 1, 1.25, 1.75, 2, 3, 3.25, 3.75, 4]
    torch.testing.assert_close(wide[:, 0], torch.tensor(expected))


def test_position_table_with_as_many_tokens_but_another_shape_is_resized():
    table = torch.arange(5.0).unsqueeze(1)
    tall = resize_position_embedding(table, (4, 1))
    torch.testing.assert_close(tall[:, 0], torch.tensor([0, 1.5, 2.0, 3.0, 3.5]))


@torch.no_grad()
def test_towers_build_no_matrix_of_all_pairs(seed, largest_tensor, tiny_clip):
    transformer = create_visual_transformer(tiny_clip['vit']).transformer
    width = transformer.width
    tokens = 20 * width  # a matrix of all pairs is the largest by far
    with largest_tensor() as largest:
        transformer(torch.randn(1, tokens, width))
    assert largest.numel < tokens**2 // 2


def test_weights_that_cannot_be_fetched_are_named(tmp_path, monkeypatch):
    """open_clip builds the model first, so a small one is asked for."""
    tag = dict(hf_hub='nobody/nothing/')
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    tags = open_clip.pretrained._PRETRAINED
    monkeypatch.setitem(tags, 'tiny-rn', dict(openai=open_clip.pretrained._pcfg(**tag)))
    with pytest.raises(OSError, match=r"'openai' of 'tiny-rn' cannot be fetched: "):
        create_clip('tiny-rn', 'openai')
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]
