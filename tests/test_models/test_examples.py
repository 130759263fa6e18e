import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.apis.export import export_program
from mmovseg.models.examples import MARGIN, best_query, decode_example, mix_rows
from mmovseg.shapeworld.drawing import CLASSES, draw_sample
from mmovseg.vocabulary import Vocabulary

WORLD = Vocabulary.load('shapeworld')


def draw_examples(name, count=2, size=192, first=0):
    """Return pairs that show a class, in a world of few classes."""
    label, found = CLASSES.index(name), []
    for number in range(first, first + 99):
        if len(found) == count:
            break
        rng = np.random.RandomState(number)
        picture = draw_sample(rng, size, {name, 'sand', 'red cross'})
        if label in picture.labels:
            mask = picture.segments == picture.labels.index(label)
            if mask.sum() > 0.02 * size**2:
                found.append((np.ascontiguousarray(picture.image[..., ::-1]), mask))
    return found


@pytest.fixture(scope='module')
def snow():
    return WORLD.add_examples('snow', draw_examples('snow'))


def test_pictures_come_back_as_they_were():
    [(image, mask)] = draw_examples('snow', 1, 64)
    example = WORLD.add_examples('snow', [(image, mask)]).examples[1 + 6][0]
    found = decode_example(example)
    assert torch.equal(found[0], torch.from_numpy(image.copy()).permute(2, 0, 1))
    assert torch.equal(found[1], torch.from_numpy(mask))
    with pytest.raises(ValueError, match='An example is damaged'):
        decode_example(example._replace(mask=example.mask[:40]))


def rows_and_examples(count):
    torch.manual_seed(0)
    rows = F.normalize(torch.randn(6, 16), dim=-1)
    classes = torch.tensor([0, 0, 1, 2, 3, 4])
    common = F.normalize(torch.randn(16), dim=0)
    objects = F.normalize(rows[3] + 0.1 * torch.randn(count, 16) + common, dim=-1)
    others = F.normalize(common + 0.1 * torch.randn(count, 5, 16), dim=-1)
    return rows, classes, list(zip(objects, others, strict=True))


def test_a_row_moves_as_far_as_its_examples_need_and_others_stay():
    rows, classes, examples = rows_and_examples(50)
    mean = F.normalize(torch.stack([x for x, _ in examples]), dim=-1).mean(0)
    groups = [examples, [], [], []]  # as if class 0, which is far away
    moved = mix_rows(rows, classes, groups)
    assert torch.equal(moved[2:], rows[2:])
    best = (rows[2:] @ mean).max()
    before, after = (rows[:2] @ mean).max(), (moved[:2] @ mean).max()
    assert before < best
    torch.testing.assert_close(after, best + MARGIN * 50 / 51)
    # What all regions have in common does not name them.
    common = torch.cat([x for _, x in examples])
    common = F.normalize(common, dim=-1).mean(0)
    torch.testing.assert_close(moved @ common, rows @ common, atol=1e-5, rtol=0)


def test_fewer_examples_move_a_row_less_and_a_known_class_stays():
    rows, classes, examples = rows_and_examples(20)
    ways = [
        (mix_rows(rows, classes, [examples[:n], [], [], []]) - rows).norm()
        for n in (1, 3, 20)
    ]
    assert 0 < ways[0] < ways[1] < ways[2]
    assert torch.equal(mix_rows(rows, classes, [[], [], examples, []]), rows)


def test_objects_that_look_like_the_rest_move_nothing():
    rows, classes, examples = rows_and_examples(3)
    same = [(x, x[None]) for x, _ in examples]
    assert torch.equal(mix_rows(rows, classes, [same, [], [], []]), rows)


def test_the_query_that_fits():
    masks = torch.full((3, 4, 4), -1.0)
    masks[0, :2] = 1
    masks[2, :, 2:] = 1
    mask = torch.full((8, 8), -1.0)
    mask[:, 4:] = 1
    assert best_query(masks, mask) == 2
    mask[:] = -1
    mask[0, 0] = 1
    assert best_query(masks, mask) is None


@pytest.mark.parametrize(
    ('config', 'weights'),
    [
        ('eovseg_tiny_shapeworld', 'shapeworld'),
        ('deop_tiny_shapeworld-zs', None),
        ('simbaseline_tiny_shapeworld-zs', None),
    ],
)
def test_models_see_examples(config, weights, snow):
    torch.manual_seed(0)
    model = init_model(config, weights)
    # Pictures of snow, said to be stars.
    label = CLASSES.index('red star')
    groups = [()] * len(WORLD)
    groups[label] = snow.examples[CLASSES.index('snow')]
    stars = replace(WORLD, examples=tuple(groups))
    plain, text = model.encode_vocabulary(WORLD), model.encode_vocabulary(stars)
    own = plain.class_ids == label
    for name in ('weight', 'clip'):
        rows = getattr(text, name)
        assert rows.shape == plain.weight.shape and rows.isfinite().all()
        assert torch.equal(rows[~own], plain.weight[~own])
    moved = [
        not torch.equal(x[own], plain.weight[own]) for x in (text.weight, text.clip)
    ]
    assert any(moved)
    again = model.encode_vocabulary(stars)
    assert again.weight is text.weight  # not computed twice
    with torch.no_grad():
        next(model.parameters()).mul_(1.0)  # other weights, as far as one can tell
    assert model.encode_vocabulary(stars).weight is not text.weight
    model.train()
    with pytest.raises(ValueError, match='Examples are for inference'):
        model.encode_vocabulary(stars)


def embed_mask(model, mask):
    """Return what a model sees in an example, its rows, and their warnings."""
    [(image, _)] = draw_examples('snow', 1)
    image = np.ascontiguousarray(image[: mask.shape[0], : mask.shape[1]])
    names = WORLD.add_examples('red star', [(image, mask)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        text = model.encode_vocabulary(names)
    [example] = names.examples[CLASSES.index('red star')]
    seen = model.see_example(example, model.encode_vocabulary(WORLD))
    return seen, text, ' '.join(str(x.message) for x in caught)


@pytest.mark.parametrize(
    ('config', 'weights'),
    [
        ('eovseg_tiny_shapeworld', 'shapeworld'),
        ('fcclip_tiny_shapeworld', 'tiny'),
        ('deop_tiny_shapeworld-zs', None),
        ('simbaseline_tiny_shapeworld-zs', None),
    ],
)
def test_what_clip_cannot_see_moves_nothing(config, weights):
    torch.manual_seed(0)
    model = init_model(config, weights)
    names = model.encode_vocabulary(WORLD)
    whole, speck = np.ones((192, 192), bool), np.zeros((192, 192), bool)
    speck[33:35, 33:35] = True
    for mask, unseen, advice in (
        (speck, 'object', 'Crop the image around it'),
        (whole, 'rest', 'something else, too'),
    ):
        seen, text, warned = embed_mask(model, mask)
        # DeOP compares with its other proposals, SimBaseline crops the object.
        fine = ('deop', 'rest'), ('simbaseline', 'object')
        if (config.split('_')[0], unseen) in fine:
            assert not warned and not seen.unseen
            continue
        assert seen.clip is None and seen.unseen == unseen
        assert torch.equal(text.clip, names.weight)
        assert "Example 1 of 'red star' counts little or not at all" in warned
        assert advice in warned


def test_padding_is_not_the_rest_of_an_image():
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    seen, _, warned = embed_mask(model, np.ones((192, 100), bool))
    assert seen.unseen == 'rest' and 'fills the image' in warned


def test_examples_that_cannot_be_used():
    names = WORLD.add_examples('snow', draw_examples('snow', 1))
    stage = init_model('proposals_tiny_shapeworld-zs')
    with pytest.raises(ValueError, match='ZeroShotMaskFormer cannot learn'):
        stage.encode_vocabulary(names)
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    model.set_vocabulary(names)
    with pytest.raises(ValueError, match='A graph reads names and no examples'):
        export_program(model)


def test_a_word_without_meaning_is_learned_from_examples():
    names = [x for x in WORLD.to_lines() if 'purple circle' not in x]
    names = Vocabulary.from_names([*names, 'thing: blorp'])
    inferencer = OVSegInferencer(
        'eovseg_tiny_shapeworld', 'shapeworld', vocabulary=names, show_progress=False
    )
    photos = draw_examples('purple circle', 2, first=50)
    shares = [[], []]
    for before, row in enumerate(shares):
        if before:
            inferencer.add_examples('blorp', draw_examples('purple circle', 3))
        for photo, truth in photos:
            result = inferencer.segment(photo)
            best = [x.id for x in result.segments if x.name == 'blorp']
            row.append((truth & np.isin(result.label_map, best)).sum() / truth.sum())
    assert max(shares[0]) < 0.1 and max(shares[1]) > 0.5


def test_copies_and_pickles_keep_examples(snow):
    model = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    model.set_vocabulary(snow)
    rows = model.encode_vocabulary(snow).weight
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin.encode_vocabulary(twin.vocabulary).weight, rows)
