"""OVSegInferencer with a model whose masks are known."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.infer import BaseInferencer
from mmengine.structures import BaseDataElement
from PIL import Image

from mmovseg.analysis.profiling import build_model
from mmovseg.apis import ImageError, OutputError, OVSegInferencer, init_model
from mmovseg.apis.results import read_result
from mmovseg.models.ops.dispatch import takes_fast
from mmovseg.registry import INFERENCERS
from mmovseg.vocabulary import Vocabulary

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)  # BGR


def halves(left, right, height=64, width=128):
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = left
    image[:, width // 2 :] = right
    return image


@pytest.fixture
def inferencer(color_config):
    return OVSegInferencer(init_model(color_config), show_progress=False)


def found(prediction):
    return {x['name']: x['box'] for x in prediction['segments']}


def test_an_array(inferencer):
    (prediction,) = inferencer(halves(RED, GREEN))['predictions']
    assert found(prediction) == {'red': [0, 0, 64, 64], 'green': [64, 0, 64, 64]}
    assert [x['score'] for x in prediction['segments']] == pytest.approx(
        [0.9 / 0.93, 0.8 / 0.83]
    )


def test_the_result_has_the_size_of_the_photo(inferencer):
    """128x64 is the network's input; padding to 32 changes nothing."""
    (prediction,) = inferencer(halves(RED, BLUE, 300, 500))['predictions']
    assert (prediction['height'], prediction['width']) == (300, 500)
    boxes = found(prediction)
    assert boxes['red'] == pytest.approx([0, 0, 250, 300], abs=12)
    assert boxes['blue'] == pytest.approx([250, 0, 250, 300], abs=12)


def test_every_kind_of_input_is_the_same(inferencer, tmp_path):
    image = halves(RED, GREEN)
    picture = Image.fromarray(image[..., ::-1])
    picture.save(tmp_path / 'a.png')
    path = tmp_path / 'a.png'
    inputs = [image, picture, path, str(path), tmp_path]
    expected = found(inferencer(image)['predictions'][0])
    for item in inputs:
        (prediction,) = inferencer(item)['predictions']
        assert found(prediction) == expected
    predictions = inferencer(inputs, batch_size=2)['predictions']
    assert [found(x) for x in predictions] == [expected] * 5
    names = [x['image'] for x in predictions]
    assert names == ['image_0', 'image_1', 'a', 'a_2', 'a_3']


def test_batches(inferencer):
    images = [halves(RED, GREEN), halves(GREEN, BLUE), halves(BLUE, RED)]
    singly = inferencer(images)['predictions']
    inferencer.model.batch_sizes.clear()
    together = inferencer(images, batch_size=2)['predictions']
    assert inferencer.model.batch_sizes == [2, 1]
    assert singly == together


def test_photos_of_one_size_meet_and_the_order_stays(inferencer, tmp_path):
    """Sizes after resizing to 128 x 64 and padding: wide, wide, tall, wide, tall."""
    shapes = [(64, 128), (128, 250), (128, 64), (300, 600), (200, 90)]
    for i, (height, width) in enumerate(shapes):
        image = halves(RED, GREEN, height, width)
        Image.fromarray(image[..., ::-1]).save(tmp_path / f'{i}.png')
    (tmp_path / '1a.png').write_bytes(b'')
    (tmp_path / '3a.png').write_bytes(b'')
    singly = inferencer(tmp_path)
    inferencer.model.batch_sizes.clear()
    together = inferencer(tmp_path, batch_size=3, return_vis=True)
    assert inferencer.model.batch_sizes == [3, 2]
    assert together['predictions'] == singly['predictions']
    assert together['errors'] == singly['errors']
    names = ['0', '1', None, '2', '3', None, '4']
    assert [x and x['image'] for x in together['predictions']] == names
    assert [x['input'][-6:] for x in together['errors']] == ['1a.png', '3a.png']
    drawn = [x is not None for x in together['visualization']]
    assert drawn == [x is not None for x in names]


def test_photos_are_read_while_the_model_computes(inferencer, monkeypatch):
    """The model waits for the second photo to be read."""
    read, model = threading.Event(), inferencer.model

    def pipeline(photo):
        if photo.index == 1:
            read.set()
        return original(photo)

    def test_step(data, **options):
        assert read.wait(60)
        return original_step(data, **options)

    original, original_step = inferencer.pipeline, model.test_step
    monkeypatch.setattr(inferencer, 'pipeline', pipeline)
    monkeypatch.setattr(model, 'test_step', test_step)
    assert len(inferencer([halves(RED, GREEN)] * 2)['predictions']) == 2


def test_photos_come_to_a_gpu_on_a_stream_of_their_own(inferencer, monkeypatch):
    """With a stand-in for the GPU: a batch waits for its copies, then keeps them."""
    calls, copies = [], SimpleNamespace(device=torch.device('cpu'))
    current = SimpleNamespace(wait_stream=lambda x: calls.append(('wait', x)))
    inside = threading.local()

    @contextmanager
    def stream(chosen):
        inside.stream = chosen
        yield
        inside.stream = None

    def pin(image):
        assert inside.stream is copies
        return image

    monkeypatch.setattr(inferencer, '_find_copies', lambda: copies)
    monkeypatch.setattr(torch.cuda, 'stream', stream)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: current)
    monkeypatch.setattr(torch.Tensor, 'pin_memory', pin)
    monkeypatch.setattr(
        torch.Tensor, 'record_stream', lambda _, x: calls.append(('record', x))
    )
    photos = [halves(RED, GREEN)] * 3
    found = inferencer(photos, batch_size=2)['predictions']
    assert len(found) == 3 and all(found)
    pair = [('wait', copies), ('record', current)]
    assert calls == [*pair, pair[1], *pair]


def test_warm_up_resizes_and_pads_like_photos(inferencer):
    shapes = []
    inferencer.model.register_forward_pre_hook(
        lambda _, __, given: shapes.append(tuple(given['inputs'].shape)),
        with_kwargs=True,
    )
    inferencer.warm_up([(128, 250), (200, 90)], batch_sizes=(2,))
    assert set(shapes) == {(2, 3, 64, 128), (2, 3, 128, 64)}
    with pytest.raises(ValueError, match=r'got \[\(0, 3\)\]'):
        inferencer.warm_up([(0, 3)])


def test_plain_is_of_the_calls_of_one_inferencer():
    model = build_model('eovseg_tiny_shapeworld')
    seen = []
    model.neck.register_forward_hook(lambda _, __, x: seen.append(takes_fast(x)))
    image = np.zeros((64, 64, 3), np.uint8)
    for plain in (True, False):
        OVSegInferencer(model, plain=plain, show_progress=False)([image] * 2)
    assert seen == [False, False, True, True]
    fast = OVSegInferencer(model, fast=['resize'], show_progress=False).model
    with pytest.raises(ValueError, match='plain=True is the opposite of the fast mode'):
        OVSegInferencer(fast, plain=True)


def test_fast_and_workers():
    inferencer = OVSegInferencer(
        build_model('eovseg_tiny_shapeworld'), fast=['resize'], show_progress=False
    )
    assert inferencer.model.fast_mode.parts == ('resize',)
    assert inferencer.model.fusion.one_step_resize
    again = OVSegInferencer(inferencer.model)  # keeps the model as it is
    assert again.model.fast_mode.parts == ('resize',)
    with pytest.raises(ValueError, match='num_workers must be at least 1, got 0'):
        OVSegInferencer(inferencer.model, num_workers=0)


@pytest.mark.parametrize(
    'task, field',
    [
        ('panoptic', 'pred_panoptic_seg'),
        ('instance', 'pred_instances'),
        ('semantic', 'pred_sem_seg'),
    ],
)
def test_only_the_task_is_computed(inferencer, task, field):
    (sample,) = inferencer(halves(RED, GREEN), task=task, return_datasamples=True)[
        'predictions'
    ]
    assert isinstance(sample, BaseDataElement)
    results = {key for key in sample.keys() if key.startswith('pred')}  # noqa: SIM118
    assert results == {field}
    fusion = inferencer.model.fusion
    assert fusion.panoptic and fusion.instance and fusion.semantic


def test_instances_are_things(inferencer):
    (prediction,) = inferencer(halves(RED, GREEN), task='instance')['predictions']
    assert list(found(prediction)) == ['red']
    (prediction,) = inferencer(halves(RED, GREEN), task='instance', score_thr=0.99)[
        'predictions'
    ]
    assert prediction['segments'] == []


def test_vocabulary_is_switched_between_photos(inferencer):
    image = halves(RED, GREEN)
    inferencer.set_vocabulary('apple; pomme, stuff: lawn')
    assert set(found(inferencer(image)['predictions'][0])) == {'apple', 'lawn'}
    inferencer.set_vocabulary(Vocabulary.from_names(['one', 'two', 'three', 'four']))
    assert set(found(inferencer(image)['predictions'][0])) == {'one', 'two'}
    with pytest.raises(ValueError, match='both called'):
        inferencer.set_vocabulary(['a', 'a'])


def test_drawings_and_files(inferencer, tmp_path):
    image = halves(RED, GREEN, 400, 500)
    result = inferencer(
        image,
        return_vis=True,
        out_dir=tmp_path / 'out',
    )
    (drawing,) = result['visualization']
    assert drawing.shape[1] == 500
    assert drawing.shape[0] > 400
    names = sorted(x.name for x in (tmp_path / 'out').iterdir())
    assert names == ['image_0.json', 'image_0_labels.png', 'image_0_overlay.png']
    assert inferencer(image)['visualization'] == []


def test_a_bad_photo_does_not_stop_the_others(inferencer, tmp_path):
    for name in ('a.png', 'b.png', 'c.png'):
        Image.fromarray(halves(RED, GREEN)).save(tmp_path / name)
    (tmp_path / 'b.png').write_bytes((tmp_path / 'b.png').read_bytes()[:50])
    result = inferencer(tmp_path, batch_size=2, out_dir=tmp_path / 'out')
    assert [x and x['image'] for x in result['predictions']] == ['a', None, 'c']
    (error,) = result['errors']
    assert error['input'] == str(tmp_path / 'b.png')
    assert 'b.png' in error['message']
    assert len(list((tmp_path / 'out').iterdir())) == 6
    (result,) = inferencer([tmp_path / 'none.png', halves(RED, RED)])['errors']
    assert 'none.png does not exist' in result['message']


@pytest.mark.parametrize(
    'inputs, message',
    [
        ('missing.png', 'missing.png does not exist'),
        ([], 'list is empty'),
        (torch.zeros(3, 4, 4), 'path, a numpy array or a Pillow image'),
        ([np.zeros((4, 4, 3))], 'float64'),
    ],
)
def test_without_a_single_photo_it_raises(inferencer, inputs, message):
    with pytest.raises(ImageError, match=message):
        inferencer(inputs)


@pytest.mark.parametrize(
    'shape',
    [(1, 1), (1, 9), (9, 1), (1, 6000), (6000, 1), (3, 2), (6000, 400), (400, 6000)],
)
@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
def test_odd_sizes(inferencer, shape, task, tmp_path):
    image = np.zeros((*shape, 3), np.uint8)
    image[:] = RED
    (prediction,) = inferencer(image, task=task, out_dir=tmp_path)['predictions']
    assert found(prediction) == {'red': [0, 0, shape[1], shape[0]]}
    labels = np.asarray(Image.open(tmp_path / 'image_0_labels.png'))
    assert labels.shape[:2] == shape


def test_grey_and_deep_arrays(inferencer):
    for array in (
        np.full((64, 128), 255, np.uint8),
        np.full((64, 128, 1), 255, np.uint8),
        np.full((64, 128), 65535, np.uint16),
    ):
        (prediction,) = inferencer(array)['predictions']
        assert list(found(prediction)) == ['red']  # white is all; the best score wins


def test_wrong_arguments_are_named(inferencer):
    with pytest.raises(ValueError, match=r"task must be one of .* 'boxes'"):
        inferencer(halves(RED, RED), task='boxes')
    with pytest.raises(ValueError, match='batch_size'):
        inferencer(halves(RED, RED), batch_size=0)


def test_config_and_weights(color_config, tmp_path):
    model = init_model(color_config)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    color_config.dump(tmp_path / 'config.py')
    inferencer = OVSegInferencer(
        str(tmp_path / 'config.py'),
        tmp_path / 'a.pth',
        device='cpu',
        vocabulary='a, b',
        show_progress=False,
    )
    assert torch.equal(inferencer.model.linear.weight, model.linear.weight)
    assert inferencer.model.vocabulary.names == ('a', 'b')
    with pytest.warns(UserWarning, match='not been trained'):
        OVSegInferencer(color_config)


def test_pipeline_of_the_test_loader(color_config):
    pipeline = color_config.pop('test_pipeline')
    with pytest.raises(ValueError, match='test_pipeline'):
        OVSegInferencer(init_model(color_config))
    dataset = dict(type='Repeat', dataset=dict(type='X', pipeline=pipeline))
    color_config.test_dataloader = dict(dataset=dataset)
    inferencer = OVSegInferencer(init_model(color_config), show_progress=False)
    assert len(found(inferencer(halves(RED, GREEN))['predictions'][0])) == 2


def test_mmseg_pipeline(color_config):
    color_config.test_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmseg.ResizeShortestEdge', scale=64, max_size=128),
        dict(type='mmseg.LoadAnnotations'),
        dict(type='mmseg.PackSegInputs'),
    ]
    inferencer = OVSegInferencer(init_model(color_config), show_progress=False)
    (prediction,) = inferencer(halves(RED, GREEN), task='semantic')['predictions']
    assert found(prediction) == {'red': [0, 0, 64, 64], 'green': [64, 0, 64, 64]}


def test_can_be_built_by_name(color_config):
    inferencer = INFERENCERS.build(
        dict(type='mmovseg.OVSegInferencer', model=init_model(color_config))
    )
    assert isinstance(inferencer, OVSegInferencer)


def test_an_empty_folder_in_a_list_is_reported_like_a_bad_photo(inferencer, tmp_path):
    array = np.zeros((16, 16, 3), np.uint8)
    result = inferencer([str(tmp_path), array])
    assert [prediction is None for prediction in result['predictions']] == [True, False]
    assert str(tmp_path) in result['errors'][0]['message']


def test_a_module_without_a_config_is_refused():
    with pytest.raises(TypeError, match=r'model\.cfg.*Linear'):
        OVSegInferencer(torch.nn.Linear(1, 1))


@pytest.fixture
def heat_inferencer(color_config):
    color_config.model.heatmaps = True
    return OVSegInferencer(init_model(color_config), show_progress=False)


def test_heatmaps_of_chosen_classes(heat_inferencer, tmp_path):
    """The blue half is looked at in its own upper left corner."""
    image = halves(RED, BLUE, 128, 256)  # shrunk to 64 x 128 for the network
    heat_inferencer.set_vocabulary('red, green, blue; azure')
    result = heat_inferencer(
        [image, halves(GREEN, GREEN)],
        task='semantic',
        return_vis=True,
        return_datasamples=True,
        out_dir=tmp_path,
        show_heatmaps='azure, red',
    )
    sample = result['predictions'][0]
    results = {key for key in sample.keys() if key.startswith('pred')}  # noqa: SIM118
    assert results == {'pred_sem_seg', 'pred_heatmaps'}
    assert not heat_inferencer.model.fusion.heatmaps
    drawn = result['heatmaps'][0]
    assert (np.asarray(Image.open(tmp_path / 'image_0_heatmaps.png')) == drawn).all()
    width = (drawn.shape[1] - 16) // 3
    assert width == 256
    for left, column in ((width + 8, 128), (2 * (width + 8), 0)):  # blue, then red
        panel = drawn[-128:, left : left + width].astype(int)
        heat = panel[..., 0] - panel[..., 2]
        middle = np.mean(np.nonzero(heat > 50), 1)  # of 32 x 32 pixels
        assert middle == pytest.approx((16, column + 16), abs=6)
        assert heat[64:].max() < 10
    assert len(result['heatmaps']) == 2
    names = sorted(x.name for x in tmp_path.glob('*_heatmaps.png'))
    assert names == ['image_0_heatmaps.png', 'image_1_heatmaps.png']


def test_heatmaps_are_only_made_when_asked(heat_inferencer, tmp_path):
    result = heat_inferencer(halves(RED, BLUE), out_dir=tmp_path, return_vis=True)
    assert result['heatmaps'] == []
    assert not list(tmp_path.glob('*_heatmaps.png'))
    result = heat_inferencer(halves(RED, BLUE), show_heatmaps=['red'])
    assert result['heatmaps'] == []  # as for drawings: return_vis decides


def test_heatmaps_that_cannot_be_shown_are_explained(
    inferencer, heat_inferencer, tmp_path
):
    with pytest.raises(ValueError, match=r'gave no heatmaps.*DeOP'):
        inferencer(halves(RED, RED), show_heatmaps='red', out_dir=tmp_path / 'out')
    heat_inferencer.model.batch_sizes.clear()
    with pytest.raises(ValueError, match=r"'rad'.*Did you mean 'red'"):
        heat_inferencer(halves(RED, RED), show_heatmaps='rad', out_dir=tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    assert heat_inferencer.model.batch_sizes == []  # noticed before any work


def test_no_other_result_of_the_fusion_is_computed(inferencer):
    """Proposals of an evaluation config would cost much memory on photos."""
    inferencer.model.fusion.proposals = inferencer.model.fusion.heatmaps = True
    (sample,) = inferencer(halves(RED, RED), return_datasamples=True)['predictions']
    assert 'pred_proposals' not in sample
    assert inferencer.model.fusion.proposals


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_resized_probabilities(inferencer, task):
    """What DeOP's fusion does, for each task, on a larger photo."""
    inferencer.model.fusion.resize_probabilities = True
    (prediction,) = inferencer(halves(RED, BLUE, 300, 500), task=task)['predictions']
    boxes = found(prediction)
    assert boxes['red'] == pytest.approx([0, 0, 250, 300], abs=12)
    assert boxes['blue'] == pytest.approx([250, 0, 250, 300], abs=12)


@pytest.mark.parametrize('shape', [(1, 1), (1, 6000), (6000, 1), (400, 3000), (37, 53)])
def test_mmseg_pipeline_with_odd_sizes(color_config, shape, tmp_path):
    color_config.model.heatmaps = True
    color_config.test_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmseg.Resize', scale=(256, 64), keep_ratio=True),
        dict(type='mmseg.LoadAnnotations'),
        dict(type='mmseg.PackSegInputs'),
    ]
    inferencer = OVSegInferencer(init_model(color_config), show_progress=False)
    inferencer.model.fusion.resize_probabilities = True
    image = np.zeros((*shape, 3), np.uint8)
    image[:] = RED
    (prediction,) = inferencer(
        image, task='semantic', out_dir=tmp_path, show_heatmaps='red, green'
    )['predictions']
    assert found(prediction) == {'red': [0, 0, shape[1], shape[0]]}
    assert Image.open(tmp_path / 'image_0_heatmaps.png').size[0] > 2


def test_an_error_leaves_no_thread(inferencer, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr('mmovseg.apis.results.Result.save', fail)
    photos = [np.zeros((32, 32, 3), np.uint8)] * 12
    with pytest.raises(OSError, match='disk full') as caught:
        inferencer(photos, batch_size=2, out_dir=tmp_path)
    # `caught` keeps the traceback, as a notebook does.
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith('mmovseg')], caught


def test_one_call_per_frame_keeps_all_frames(inferencer, tmp_path):
    names = []
    for _ in range(3):
        (frame,) = inferencer(halves(RED, GREEN), out_dir=tmp_path)['predictions']
        names.append(frame['image'])
    assert names == ['image_0', 'image_1', 'image_2']
    assert len(list(tmp_path.glob('image_*.json'))) == 3


def test_results_never_go_among_the_photos(inferencer, tmp_path, monkeypatch):
    Image.fromarray(halves(RED, GREEN)).save(tmp_path / 'a.png')
    monkeypatch.setattr(inferencer, 'forward', None)  # told before it is needed
    for inputs in (tmp_path, tmp_path / 'a.png', [halves(RED, RED), tmp_path]):
        with pytest.raises(OutputError, match='the photos are in it'):
            inferencer(inputs, out_dir=tmp_path)
    assert [x.name for x in tmp_path.iterdir()] == ['a.png']


def test_a_second_run_replaces_its_own_files_alone(heat_inferencer, tmp_path):
    photo, out = tmp_path / 'a.png', tmp_path / 'out'
    Image.fromarray(halves(RED, BLUE)).save(photo)
    heat_inferencer(photo, out_dir=out, show_heatmaps='red')
    (out / 'b.json').write_text('of the user')
    result = heat_inferencer(photo, out_dir=out, task='semantic')
    assert result['predictions'][0]['image'] == 'a'
    files = sorted(x.name for x in out.iterdir())
    assert files == ['a.json', 'a_labels.png', 'a_overlay.png', 'b.json']
    assert '"semantic"' in (out / 'a.json').read_text()


def test_a_photo_that_fills_the_memory_stops_no_other(
    inferencer, monkeypatch, tmp_path
):
    """In the model, together or alone, and behind it."""
    for i, color in enumerate((RED, GREEN, BLUE)):
        Image.fromarray(halves(color, color)).save(tmp_path / f'{i}.png')
    forward, read, runs = inferencer.forward, read_result, []

    def fill(inputs, *args):
        runs.append(len(inputs['inputs']))
        if any(image[2].float().mean() > 200 for image in inputs['inputs']):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(inputs, *args)

    def fill_too(sample, *args, **options):
        if sample.img_path == '1':
            raise MemoryError
        return read(sample, *args, **options)

    monkeypatch.setattr(inferencer, 'forward', fill)
    monkeypatch.setattr('mmovseg.apis.inferencer.read_result', fill_too)
    result = inferencer(tmp_path, batch_size=3)
    assert runs == [3, 1, 1, 1]
    assert [x and x['image'] for x in result['predictions']] == ['0', None, None]
    assert {x['input'][-5:] for x in result['errors']} == {'1.png', '2.png'}
    for error in result['errors']:
        assert 'needs more memory than there is' in error['message']


def test_a_photo_too_narrow_to_be_resized_stops_no_other(inferencer):
    line = np.zeros((1, 10**6, 3), np.uint8)
    result = inferencer([line, halves(RED, GREEN)])
    assert [x is None for x in result['predictions']] == [True, False]
    assert '1000000 x 1 pixels is too narrow' in result['errors'][0]['message']


def test_the_steps_of_base_inferencer(inferencer, tmp_path):
    """What works with any of OpenMMLab's inferencers, step by step."""
    images = [halves(RED, GREEN), halves(GREEN, BLUE), halves(BLUE, RED)]
    samples, sizes = [], []
    for batch in inferencer.preprocess([*images, tmp_path / 'none.png'], batch_size=2):
        samples += inferencer.forward(batch, task='panoptic')
        sizes.append(len(batch['inputs']))
    assert sizes == [2, 1]
    expected = inferencer(images, return_vis=True)
    drawn = inferencer.visualize([image[..., ::-1] for image in images], samples)
    for ours, theirs in zip(drawn, expected['visualization'], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert inferencer.postprocess(samples, drawn) == expected['predictions']
    assert inferencer.postprocess(samples, return_datasamples=True) == samples
    assert isinstance(inferencer, BaseInferencer)


def test_segment_gives_results_with_their_photos(inferencer, tmp_path):
    image = halves(RED, GREEN)
    result = inferencer.segment(image, 'cat, stuff: wood, cup')
    assert [x.name for x in result.segments] == ['cat', 'wood']
    assert (result.image == image[..., ::-1]).all() and result.is_thing[1] is False
    Image.fromarray(image[..., ::-1]).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_bytes(b'x')
    first, second = inferencer.segment(tmp_path)
    assert second is None and first.photo == 'a' and first.path == tmp_path / 'a.png'
    assert first.overlay().ndim == 3
    with pytest.raises(ImageError, match=r'b\.png'):
        inferencer.segment(tmp_path / 'b.png')
    with pytest.raises(ValueError, match='task must be one of'):
        inferencer.segment(image, task='depth')


def test_for_each_hands_over_every_result(inferencer, tmp_path):
    (tmp_path / 'b.png').write_bytes(b'x')
    seen = {}
    inputs = [halves(RED, GREEN), tmp_path / 'b.png', halves(BLUE, BLUE)]
    errors = inferencer.for_each(inputs, seen.__setitem__)
    assert sorted(seen) == [0, 2]
    assert [x.name for x in seen[2].segments] == ['blue']
    assert [x['input'] for x in errors] == [str(tmp_path / 'b.png')]

    def stop(index, result):
        raise RuntimeError('stop')

    with pytest.raises(RuntimeError, match='stop'):
        inferencer.for_each(inputs, stop)


def test_top_classes_of_every_pixel(inferencer):
    result = inferencer.segment(halves(RED, GREEN), 'cat, cup', top_classes=True)
    plain = inferencer.segment(halves(RED, GREEN), 'cat, cup')
    assert (plain.label_map == result.label_map).all() and plain.top_labels is None
    assert result.top_labels.shape == result.top_probabilities.shape == (2, 64, 128)
    assert result.top_labels[0, 5, 5] == 0 and result.top_labels[0, 5, 120] == 1
    assert (np.diff(result.top_probabilities, axis=0) <= 0).all()
    assert result.top_probabilities.sum(0).max() <= 1 + 1e-6
    arrays = result.to_numpy()
    assert (arrays['top_labels'] == result.top_labels).all()
