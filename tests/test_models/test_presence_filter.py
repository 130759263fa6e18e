import pytest
import torch

from mmovseg.apis import init_model
from mmovseg.apis.fast_mode import make_fast
from mmovseg.models import MaskFusion, PresenceFilter
from mmovseg.models.structures import LEFT_OUT, MaskPrediction, TextEmbeddings
from mmovseg.shapeworld.drawing import draw_numbered
from mmovseg.vocabulary import Vocabulary


def sample(number=1, size=96):
    """A drawing as the data loader gives it."""
    from mmengine.structures import BaseDataElement

    picture = draw_numbered(5, 'val', number, size)
    image = torch.from_numpy(picture.image[..., ::-1].copy()).permute(2, 0, 1)
    meta = dict(img_shape=(size, size), ori_shape=(size, size))
    return image, BaseDataElement(metainfo=meta)


def run(model, *numbers, **options):
    images, samples = zip(*map(sample, numbers), strict=True)
    data = dict(inputs=list(images), data_samples=list(samples))
    with torch.no_grad():
        return model.test_step(data, **options)


@pytest.fixture(scope='module')
def models():
    eovseg = init_model('eovseg_tiny_shapeworld', 'shapeworld')
    torch.manual_seed(0)
    return dict(eovseg=eovseg, deop=init_model('deop_tiny_shapeworld-zs'))


@pytest.fixture(params=['eovseg', 'deop'])
def model(request, models):
    model = models[request.param]
    yield model
    model.set_presence_filter(None)


def test_a_class_counts_by_its_best_part_and_its_best_name():
    # Classes 0 and 2 have two names; the second name of class 2 fits the last part.
    text = TextEmbeddings(torch.eye(6), torch.tensor([0, 0, 1, 2, 2, 3]))
    parts = torch.tensor([[1.0, 0, 0.5, 0, 0, 0], [0, 0, 0.1, 0, 1, 0]])
    kept = PresenceFilter(num_names=2)(parts, text, 10.0)
    assert kept.tolist() == [True, False, True]
    assert PresenceFilter(num_names=9)(parts, text, 10.0).all()


def test_void_is_no_name_and_a_part_without_embedding_does_not_matter():
    text = TextEmbeddings(torch.eye(3), torch.tensor([0, 1, 2]))
    parts = torch.tensor([[0.0, 0.1, 1.0], [torch.nan] * 3])
    assert PresenceFilter(num_names=1)(parts, text, 100.0).tolist() == [False, True]


def test_parts_cover_the_map_and_shrink_to_a_position():
    masks = PresenceFilter(grids=(1, 2, 8)).parts((3, 2), torch.device('cpu')) > 0
    assert masks[0].all() and masks.flatten(1).any(1).all()
    # One whole, two halves of two rows times two columns, and every position.
    assert len(masks) == 1 + 4 + 6
    assert len(masks.flatten(1).unique(dim=0)) == len(masks)


@pytest.mark.parametrize(
    'bad',
    [
        *(dict(num_names=x) for x in (0, 2.5, '20', True, None)),
        *(dict(grids=x) for x in ((), (0,), (1.5,), 4, ('a',))),
    ],
)
def test_wrong_arguments(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        PresenceFilter(**bad)


def test_kept_classes_keep_their_logits_and_numbers():
    torch.manual_seed(0)
    text = TextEmbeddings(torch.randn(5, 8), torch.tensor([0, 0, 1, 2, 3]))
    regions = torch.randn(2, 4, 8)
    kept = text.keep(torch.tensor([True, False, True]))
    assert len(kept.weight) == 4
    before, after = text.logits(regions, 7.0), kept.logits(regions, 7.0)
    assert torch.equal(before[..., [0, 2, 3]], after[..., [0, 2, 3]])
    assert (after[..., 1] == LEFT_OUT).all()


def test_a_filter_that_keeps_all_changes_nothing(model):
    before = run(model, 1)[0].pred_sem_seg.sem_seg
    model.set_presence_filter(dict(num_names=58))
    after = run(model, 1)[0]
    assert torch.equal(before, after.pred_sem_seg.sem_seg)
    assert after.kept_classes.tolist() == list(range(58))


def test_only_kept_classes_are_found_and_batches_do_not_matter(model):
    model.set_presence_filter(dict(num_names=4))
    together = run(model, 1, 2)
    for number, one in zip((1, 2), together, strict=True):
        alone = run(model, number)[0]
        assert torch.equal(one.kept_classes, alone.kept_classes)
        assert torch.equal(one.pred_sem_seg.sem_seg, alone.pred_sem_seg.sem_seg)
        assert len(one.kept_classes) == 4
        found = set(one.pred_sem_seg.sem_seg.unique().tolist())
        assert found <= set(one.kept_classes.tolist())


def test_results_are_those_of_a_vocabulary_of_the_kept_names(models):
    model = models['eovseg']
    model.set_presence_filter(dict(num_names=6))
    filtered = run(model, 3)[0]
    model.set_presence_filter(None)
    labels = filtered.kept_classes
    words = model.vocabulary
    few = Vocabulary(
        tuple(words.synonyms[i] for i in labels),
        tuple(words.is_thing[i] for i in labels),
    )
    plain = run(model, 3, vocabulary=few)[0]
    named = labels[plain.pred_sem_seg.sem_seg]
    assert torch.equal(named, filtered.pred_sem_seg.sem_seg)
    names = [
        [result.label_names[x['category_id']] for x in result.segments_info]
        for result in (plain.pred_panoptic_seg, filtered.pred_panoptic_seg)
    ]
    assert names[0] == names[1] and names[0]


def test_top_classes_are_kept_ones(models):
    model = models['eovseg']
    model.set_presence_filter(dict(num_names=7))
    found = run(model, 1, results=['top_classes'])[0]
    model.set_presence_filter(None)
    labels = set(found.pred_top_classes.labels.unique().tolist())
    assert len(labels) > 1 and labels <= set(found.kept_classes.tolist())


def test_fusion_without_a_filter_says_nothing_of_kept_classes(vocabulary):
    prediction = MaskPrediction(torch.randn(1, 2, 4), torch.randn(1, 2, 4, 4))
    [done] = MaskFusion()(prediction, None, vocabulary, (4, 4), ['semantic'])
    assert 'kept_classes' not in done


def test_a_compiled_program_and_a_model_without_clip_refuse(models, monkeypatch):
    model = models['eovseg']
    model.set_presence_filter(dict(num_names=7))
    with pytest.raises(ValueError, match="leave 'compile' out"):
        make_fast(model, ('compile',))
    model.set_presence_filter(None)
    crops = init_model('simbaseline_tiny_shapeworld-zs')
    with pytest.raises(ValueError, match='SimBaseline cannot leave out names'):
        crops.set_presence_filter(dict(num_names=7))
