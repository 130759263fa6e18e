"""A tiny CLIP of a tiny world; what is learned in seconds is no measure."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmovseg.models.backbones import CLIPConvBackbone
from mmovseg.models.clip import create_clip, resize_position_embedding
from mmovseg.models.text import TextClassifier
from mmovseg.shapeworld.drawing import CLASSES, STUFF
from mmovseg.vocabulary import Vocabulary
from projects.shapeworld.crops import CropSource, draw_pictures

SIZES = ['--num-pictures', '150', '--num-held-out', '150', '--num-crops', '40']


@pytest.fixture(scope='module')
def tool():
    return importlib.import_module('projects.shapeworld.train_clip')


@pytest.fixture
def captions(tool, tiny_clip):
    import open_clip

    tokenizer = open_clip.get_tokenizer(tiny_clip['vit'])
    return tool.Captions(Vocabulary.load('shapeworld'), tokenizer)


def train(tool, monkeypatch, folder, *more, model='tiny-rn', steps=4):
    arguments = [model, '--work-dir', str(folder), '--steps', str(steps), *SIZES]
    arguments += ['--batch-size', '8', '--log-every', '2', *more]
    monkeypatch.setattr(sys, 'argv', ['train_clip.py', *arguments])
    tool.train(tool.parse_args(arguments))
    return folder / f'{model}.safetensors'


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--log-every', '0'], '--log-every must be at least 1, got 0'),
        (['--num-crops', '0'], '--num-crops must be at least 1, got 0'),
        (['--whole', '1.5'], '--whole from 0 to 1'),
    ],
)
def test_numbers_out_of_range_are_explained(tool, words, message, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['tiny-rn', *words])
    assert message in capsys.readouterr().err


def test_every_crop_is_told_by_name_paint_and_shape(captions):
    assert captions.halves.shape == (58, 2)
    label = CLASSES.index('dotted heart')
    paint, shape = captions.halves[label].tolist()
    assert (captions.paints[paint], captions.shapes[shape]) == ('dotted', 'heart')
    tokens = captions.draw(np.random.RandomState(0))
    assert len(tokens) == 58 + 8 + 6
    logits = torch.randn(3, len(tokens))
    labels = torch.tensor([0, label, label])  # a texture has no halves
    expected = F.cross_entropy(logits[:, :58], labels)
    for row in (1, 2):
        expected -= logits[row, 58:66].log_softmax(0)[paint] / 4
        expected -= logits[row, 66:].log_softmax(0)[shape] / 4
    torch.testing.assert_close(captions.loss(logits, labels), expected)


@pytest.mark.parametrize('kind', ['resnet', 'convnext', 'vit'])
@torch.no_grad()
def test_towers_equal_open_clips_and_take_other_sizes(tool, captions, tiny_clip, kind):
    clip = create_clip(tiny_clip[kind])
    towers = tool.Towers(clip)
    images = torch.randn(2, 3, 64, 64)
    text = clip.encode_text(captions.plain, normalize=True)
    image = clip.encode_image(images, normalize=True)
    torch.testing.assert_close(towers.encode_text(captions.plain), text)
    torch.testing.assert_close(towers.encode_image(images), image)
    torch.testing.assert_close(
        towers(image, text), clip.logit_scale.exp() * image @ text.T
    )
    assert towers.encode_image(torch.randn(2, 3, 96, 96)).isfinite().all()


def test_boxes_fill_the_cells_they_cover(tool):
    boxes = torch.tensor([[[0.0, 0.5, 0.5, 1.0], [0.3, 0.3, 0.35, 0.35]]])
    masks = tool.fill_boxes(boxes, (4, 6))
    expected = torch.zeros(2, 4, 6, dtype=torch.bool)
    expected[0, :2, 3:] = True
    expected[1, 1, 1] = True  # has no middle of a cell: the nearest
    assert torch.equal(masks[0], expected)


@pytest.mark.parametrize('kind', ['resnet', 'vit'])
@torch.no_grad()
def test_boxes_are_regions(tool, tiny_clip, kind):
    """Of the backbones that segmentation uses."""
    torch.manual_seed(0)
    clip = create_clip(tiny_clip[kind])
    images = torch.randn(2, 3, 128, 128)
    quarters = [[0, 0, 0.5, 0.5], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.5], [0.5, 0.5, 1, 1]]
    boxes = torch.tensor([quarters, quarters], dtype=torch.float32)
    found = tool.Towers(clip).encode_boxes(images, boxes)
    if kind == 'resnet':
        masks = torch.full((2, 4, 128, 128), -1.0)
        for quarter in range(4):
            y, x = 64 * (quarter // 2), 64 * (quarter % 2)
            masks[:, quarter, y : y + 64, x : x + 64] = 1.0
        backbone = CLIPConvBackbone(tiny_clip[kind])
        backbone.visual = clip.visual
        expected = backbone.pool_masks(backbone(images)[-1], masks)
    else:
        clip.visual.output_tokens = True
        side = 128 // clip.visual.patch_size[0]
        table = resize_position_embedding(
            clip.visual.positional_embedding, (side, side), mode='bicubic'
        )
        clip.visual.positional_embedding = torch.nn.Parameter(table)
        _, tokens = clip.visual(images)
        half = side // 2
        tokens = tokens.view(2, 2, half, 2, half, -1).mean((2, 4)).flatten(1, 2)
        expected = tokens @ clip.visual.proj
    torch.testing.assert_close(found, F.normalize(expected, dim=-1))


@pytest.mark.slow
def test_a_stopped_training_goes_on_as_if_it_were_not(tool, monkeypatch, tmp_path):
    whole = train(tool, monkeypatch, tmp_path / 'whole')
    with monkeypatch.context() as patch:

        def stop(*args):
            if args[-1] == 3:
                raise KeyboardInterrupt
            return step(*args)

        step = tool.train_step
        patch.setattr(tool, 'train_step', stop)
        with pytest.raises(KeyboardInterrupt):
            train(tool, patch, tmp_path / 'parts')
    parts = train(tool, monkeypatch, tmp_path / 'parts')
    assert parts.read_bytes() == whole.read_bytes()
    log = [json.loads(line) for line in (tmp_path / 'parts/tiny-rn.jsonl').open()]
    assert '--steps 4' in log[0]['command'] and log[0]['seed'] == 0
    assert [entry.get('step') for entry in log] == [None, 2, None, 4]
    assert log[2]['first_step'] == 2
    assert {'loss', 'seconds', 'solid', 'stuff', 'patterned'} <= set(log[1])


@pytest.mark.slow
def test_the_text_tower_of_another_stays_as_it_is(tool, monkeypatch, tmp_path):
    first = train(tool, monkeypatch, tmp_path / 'first', steps=2)
    more = ['--text-from', str(first)]
    second = train(tool, monkeypatch, tmp_path, *more, model='tiny-vit', steps=2)
    states = [
        create_clip(name, str(path)).state_dict()
        for name, path in (('tiny-rn', first), ('tiny-vit', second))
    ]
    text = [name for name in states[0] if not name.startswith('visual.')]
    assert len(text) > 20
    for name in text:
        assert torch.equal(states[0][name], states[1][name]), name
    with pytest.raises(ValueError, match='another image tower'):
        train(tool, monkeypatch, tmp_path / 'other', '--image-from', str(second))
    more += ['--image-from', str(first)]
    same = train(tool, monkeypatch, tmp_path / 'third', *more, steps=0)
    assert same.read_bytes() == first.read_bytes()


@pytest.mark.slow
def test_the_evaluation_names_regions(tool, monkeypatch, tmp_path, capsys):
    evaluation = importlib.import_module('projects.shapeworld.evaluate_clip')
    path = train(tool, monkeypatch, tmp_path, model='tiny-vit', steps=2)
    arguments = ['tiny-vit', '--weights', str(path), '--num-pictures', '150']
    arguments += ['--num-crops', '100', '--image-size', '64', '--scale', '1']
    log = tmp_path / 'log.jsonl'
    found = evaluation.main([*arguments, '--append', str(log)])
    assert set(found) == {'crops', 'regions_x1', 'regions_severed_x1'}
    assert json.loads(log.read_text())['crops'] == found['crops']
    assert 0 <= found['crops']['solid_unseen'] <= 100
    assert found['regions_x1']['covered'] > 50
    assert 'crops: solid_of_36' in capsys.readouterr().out


def test_regions_are_named_by_their_own_pixels():
    """With a map that is the picture itself, every region is named rightly."""
    evaluation = importlib.import_module('projects.shapeworld.evaluate_clip')
    pictures = draw_pictures('clip_val', 60, sizes=(64,))
    text = torch.eye(len(CLASSES) + 1)

    def regions(images, masks):
        (sample,) = [
            s for s in pictures if evaluation.normalize(s.image[None]).equal(images)
        ]
        valid = torch.tensor([CLASSES[label] not in STUFF for label in sample.labels])
        return text[sample.labels][None], valid

    from mmovseg.models.structures import TextEmbeddings

    rows = TextEmbeddings(text, torch.arange(len(CLASSES) + 1), len(CLASSES))
    found = evaluation.measure_regions(regions, rows, pictures, 1.0)
    assert found['solid'] == found['patterned'] == 100.0
    assert 40 < found['covered'] < 80  # stuff was called invalid


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(('model', 'least'), [('tiny-rn', 90), ('tiny-vit', 90)])
def test_packaged_towers_name_crops_no_training_has_seen(model, least):
    """Names of classes that segmentation does not see among them."""
    evaluation = importlib.import_module('projects.shapeworld.evaluate_clip')
    clip = create_clip(model, 'shapeworld')
    text = TextClassifier(model, 'shapeworld', cache_dir=None)
    text = text(Vocabulary.load('shapeworld'))
    source = CropSource(draw_pictures('clip_val', 200, seed=1))
    found = evaluation.measure_crops(clip.visual, text, source, 400, 64)
    assert found['solid'] > least and found['stuff'] > 95
    assert found['solid_unseen'] > least - 10  # of about 45 crops
