"""Networks of transformers propose what they propose there; other files are named."""

import json
import os

import pytest
import torch
from small_networks import EOMT, SMALL, SWIN, save_network

from mmovseg.models import TransformersProposals
from mmovseg.models.clip import tokenize

transformers = pytest.importorskip('transformers', reason='its networks are tested')
MEAN, STD = torch.tensor([120.0, 110.0, 100.0]), torch.tensor([60.0, 61.0, 62.0])


@pytest.fixture(scope='module')
def eomt(tmp_path_factory):
    """Return a folder of a small EoMT and the network in it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('eomt')
    return folder, save_network(folder)


@pytest.mark.parametrize('kind', ['eomt', 'mask2former', 'maskformer', 'oneformer'])
def test_masks_and_classes_are_those_of_transformers(kind, tmp_path, seed):
    network = save_network(tmp_path, kind)
    proposals = TransformersProposals(str(tmp_path), mean=MEAN, std=STD)
    assert proposals.class_names.names == ('cat', 'dog', 'sky')
    image = torch.randint(0, 256, (2, 3, 64, 64)).float()
    found = proposals((image - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))[-1]
    about = transformers.EomtImageProcessor(
        size=dict(shortest_edge=64, longest_edge=64), do_pad=True
    )
    own = about(images=list(image.byte()), return_tensors='pt')['pixel_values']
    given = {}
    if kind == 'oneformer':
        given = dict(task_inputs=tokenize('the task is panoptic').expand(2, -1))
    with torch.no_grad():
        expected = network(pixel_values=own, **given)
    torch.testing.assert_close(
        found.mask_logits, expected.masks_queries_logits, atol=1e-4, rtol=1e-3
    )
    classes = expected.class_queries_logits.softmax(-1)[..., :-1]
    torch.testing.assert_close(found.class_probs, classes, atol=1e-5, rtol=1e-3)
    assert found.mask_logits.std() > 0
    assert not any(p.requires_grad for p in proposals.parameters())


@pytest.mark.parametrize(('size', 'cut'), [((64, 128), (8, 16)), ((96, 64), (16, 11))])
def test_images_of_other_sizes_are_fitted_into_the_square(eomt, size, cut, seed):
    """As its processor does: the longer side fits, black fills the rest."""
    folder, network = eomt
    proposals = TransformersProposals(str(folder), mean=MEAN, std=STD)
    image = torch.randint(0, 256, (1, 3, *size)).float()
    found = proposals((image - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1))[-1]
    assert found.mask_logits.shape[-2:] == cut
    rows, columns = 4 * cut[0], 4 * cut[1]
    resized = torch.nn.functional.interpolate(
        image / 255, (rows, columns), mode='bilinear', antialias=True
    )
    square = torch.zeros(1, 3, 64, 64)
    square[..., :rows, :columns] = resized
    mean, std = (
        torch.tensor(x).view(3, 1, 1)
        for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        expected = network(pixel_values=(square - mean) / std).masks_queries_logits
    expected = expected[..., : cut[0], : cut[1]]
    torch.testing.assert_close(found.mask_logits, expected, atol=1e-4, rtol=1e-3)


def test_statistics_come_from_the_folder(eomt, tmp_path):
    save_network(tmp_path)
    about = dict(image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.25])
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(about))
    proposals = TransformersProposals(str(tmp_path), mean=MEAN, std=STD)
    image = torch.full((1, 3, 2, 2), 255.0)
    inputs = (image - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    torch.testing.assert_close(proposals.normalize(inputs), torch.full_like(image, 2))
    plain = TransformersProposals(str(tmp_path))
    assert torch.equal(plain.normalize(inputs), inputs)


def test_random_weights_need_no_file(seed):
    proposals = TransformersProposals(
        None,
        architecture=dict(SMALL['mask2former'], num_labels=2),
        backbone_architecture=SWIN,
        class_names=['a', 'b'],
    )
    assert proposals(torch.randn(1, 3, 64, 32))[0].class_probs.shape == (1, 5, 2)
    with pytest.raises(ValueError, match='architecture has to say'):
        TransformersProposals(None)


def test_lists_of_another_length_are_refused(eomt):
    with pytest.raises(ValueError, match=r'knows 3 classes, class_names are 133'):
        TransformersProposals(str(eomt[0]), class_names='coco_panoptic')


def test_folders_that_are_no_network_are_named(tmp_path):
    with pytest.raises(ValueError, match=r'no config\.json'):
        TransformersProposals(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r'no folder .*nowhere'):
        TransformersProposals(str(tmp_path / 'nowhere'))
    (tmp_path / 'config.json').write_text('{"model_type": "eomt"}')
    with pytest.raises(ValueError, match='no weights as safetensors'):
        TransformersProposals(str(tmp_path))
    (tmp_path / 'model.safetensors').write_bytes(b'cut short')
    with pytest.raises(ValueError, match='cannot be loaded'):
        TransformersProposals(str(tmp_path))


def test_networks_of_another_task_are_named(tmp_path):
    save_network(tmp_path, 'sam', None)
    with pytest.raises(ValueError, match=r"kind 'sam'.*universal segmentation.*eomt"):
        TransformersProposals(str(tmp_path))


def test_a_network_without_its_head_is_refused(eomt, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(eomt[0] / 'model.safetensors')
    del state['class_predictor.weight']
    save_file(state, tmp_path / 'model.safetensors', metadata={'format': 'pt'})
    (tmp_path / 'config.json').write_bytes((eomt[0] / 'config.json').read_bytes())
    with pytest.raises(ValueError, match=r'lacks 1 weights .*class_predictor\.weight'):
        TransformersProposals(str(tmp_path))


def test_code_in_a_folder_is_not_run(tmp_path):
    (tmp_path / 'evil.py').write_text("import os\nos.mkdir('code-has-run')\n")
    about = dict(EOMT, model_type='evil', auto_map=dict(AutoConfig='evil.Evil'))
    (tmp_path / 'config.json').write_text(json.dumps(about))
    (tmp_path / 'model.safetensors').touch()
    with pytest.raises(ValueError, match='cannot be loaded'):
        TransformersProposals(str(tmp_path))
    assert not os.path.exists('code-has-run')


def test_a_hub_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
    with pytest.raises(OSError, match=r'tue-mps/x .*Hugging Face'):
        TransformersProposals('tue-mps/x')
    assert not [path for path in tmp_path.rglob('*') if path.is_file()]


def test_without_transformers_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'transformers', None)
    with pytest.raises(ImportError, match=r"pip install 'mmovseg\[transformers\]'"):
        TransformersProposals(None, architecture=EOMT)
