"""The demo without torch: its NumPy against the package, and files that do not fit."""

import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_utils import ROOT, load_module
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.structures import BaseDataElement
from PIL import Image

from mmovseg.apis import read_result
from mmovseg.apis.export import FORMAT, INPUTS, OUTPUTS
from mmovseg.apis.images import find_images, load_image
from mmovseg.apis.output_folder import SOURCE, describe_source
from mmovseg.formats import image_file
from mmovseg.models.fusion import MaskFusion
from mmovseg.models.structures import MaskPrediction
from mmovseg.vocabulary import Vocabulary

onnxruntime = pytest.importorskip('onnxruntime', reason="needs '.[export]'")
onnx = pytest.importorskip('onnx', reason="needs '.[export]'")

VOCABULARY = Vocabulary.from_string('a, stuff: b, c, stuff: d, stuff: e')
demo = load_module(ROOT / 'demo/onnx_demo.py')


@given(
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([4, 30, 500]),
    task=st.sampled_from(['panoptic', 'semantic']),
    form=st.sampled_from(['two', 'early', 'one']),
    photo=st.tuples(st.integers(20, 70), st.integers(20, 70)),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_merging_in_numpy_equals_the_fusion(seed, scale, task, form, photo):
    """Smooth random masks, many of a class; with strips of a few rows."""
    generator = torch.Generator().manual_seed(seed)
    blobs = torch.randn(1, 8, 4, 6, generator=generator) * scale - scale / 2
    mask_logits = torch.nn.functional.interpolate(blobs, (12, 20), mode='bicubic')
    class_logits = torch.randn(1, 8, 6, generator=generator) * 2
    sizes = demo.Sizes((48, 80), (45, 67), photo)
    options = dict(
        object_mask_thr=0.2,
        iou_thr=0.3,
        resize_probabilities=form == 'early',
        one_step_resize=form == 'one',
    )
    sample = BaseDataElement(metainfo=dict(img_shape=(45, 67), ori_shape=photo))
    prediction = MaskPrediction(class_logits, mask_logits)
    MaskFusion(**options)(prediction, [sample], VOCABULARY, sizes.padded)
    names, is_thing = VOCABULARY.names, VOCABULARY.is_thing
    expected = read_result(sample, task, names, is_thing=is_thing)
    fuse = demo.fuse_panoptic if task == 'panoptic' else demo.fuse_semantic
    meta = dict(options, is_thing=is_thing)
    scores = class_logits.softmax(-1)[0].numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, 'MAX_VALUES', 5_000)
        label_map, segments = fuse(scores, mask_logits[0].numpy(), sizes, meta)
    # Rounding may decide a pixel on an edge.
    assert (label_map != expected.label_map).mean() < 1e-3
    assert [x['label'] for x in segments] == [x['label'] for x in expected.segments]
    for segment, other in zip(segments, expected.segments, strict=True):
        assert segment['area'] == pytest.approx(other['area'], abs=4)
        assert segment['score'] == pytest.approx(other['score'])
    if np.array_equal(label_map, expected.label_map):
        for segment, other in zip(segments, expected.segments, strict=True):
            assert list(demo.find_box(label_map == segment['id'])) == other['box']


def test_masks_far_below_zero_keep_their_order():
    """Masks at -95 and -82 are both below what a float32 sigmoid tells apart."""
    masks = np.full((2, 8, 8), -95, np.float32)
    masks[1] = -82
    masks[0, 0, :5] = 10
    masks[1, :2] = [[9] * 8, [9, 9] + [-82] * 6]
    scores = np.array([[0.7, 0.1, 0.2], [0.1, 0.5, 0.4]], np.float32)
    meta = dict(
        resize_probabilities=False,
        one_step_resize=False,
        object_mask_thr=0.0,
        iou_thr=0.6,
        is_thing=[True, True],
    )
    _, segments = demo.fuse_panoptic(scores, masks, demo.Sizes(*[(8, 8)] * 3), meta)
    assert [(x['label'], x['area']) for x in segments] == [(0, 5), (1, 5)]


@given(logits=st.lists(st.floats(-1500, 1500, width=32), min_size=1))
@settings(deadline=None)
def test_sigmoid_equals_torch(logits):
    logits = np.array(logits, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        actual = demo.sigmoid(logits)
    expected = torch.from_numpy(logits).sigmoid().numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-37)


def test_constants_are_those_of_the_package():
    assert demo.FORMAT == FORMAT
    assert tuple(demo.TEXT) == INPUTS[1:]
    assert demo.EXTENSIONS == image_file.EXTENSIONS
    assert demo.FORMATS == image_file.FORMATS
    mark = {demo.SOURCE: demo.mark_of(Path('x/../a.png'))}
    assert mark == describe_source('a.png') and demo.SOURCE == SOURCE


@given(
    mode=st.sampled_from(['L', 'LA', 'RGB', 'RGBA', 'P', '1', 'CMYK', 'I;16', 'I']),
    seed=st.integers(0, 99),
    tilt=st.integers(1, 8),
)
@settings(max_examples=30, deadline=None)
def test_photos_of_all_modes_are_read_as_the_package_reads_them(
    tmp_path_factory, mode, seed, tilt
):
    values = np.random.default_rng(seed).integers(0, 65536, (9, 12), np.uint16)
    colors = np.stack([values % 251, values // 256, values % 7, values % 256], -1)
    if mode in ('I;16', 'I'):
        image = Image.fromarray(values.astype(np.int32 if mode == 'I' else np.uint16))
    else:
        image = Image.fromarray(colors.astype(np.uint8), 'RGBA').convert(mode)
    exif = image.getexif()
    exif[0x112] = tilt
    ending = 'tif' if mode in ('CMYK', 'I') else 'png'
    path = tmp_path_factory.mktemp('photo') / f'photo.{ending}'
    image.save(path, exif=exif)
    expected = load_image(path)[..., ::-1]
    np.testing.assert_array_equal(demo.read_photo(path), expected)


@given(
    values=st.lists(
        st.floats(width=32) | st.floats(0, 1, width=32), min_size=1, max_size=20
    )
)
@settings(deadline=None)
def test_floats_are_scaled_as_the_package_scales_them(values):
    values = np.array(values, np.float32)
    with np.errstate(over='ignore'):
        expected = image_file._eight_bits(values)
        np.testing.assert_array_equal(demo.eight_bits(values), expected)


def test_demo_reads_photos_as_the_inferencer_does(tmp_path):
    """Transparency as color, as alpha, and floats with one infinity."""
    ramp = np.linspace(0, 1, 40 * 64).reshape(40, 64).astype(np.float32)
    Image.fromarray((ramp * 255).astype(np.uint8)).save(
        tmp_path / 'hole.png', transparency=7
    )
    ramp[3, 3] = np.inf
    Image.fromarray(ramp).save(tmp_path / 'float.tif')
    for path in find_images(tmp_path):
        expected = load_image(path)[..., ::-1]
        np.testing.assert_array_equal(demo.read_photo(Path(path)), expected, path)


# An exported graph without a network: what it finds is always the same.


def make_meta(**changes):
    meta = dict(
        format=FORMAT,
        text_model='tiny',
        text_fingerprint='abc',
        text_input=True,
        divisor=32,
        scale=[96, 64],
        padding=[1.0, 2.0, 3.0],
        object_mask_thr=0.0,
        iou_thr=0.1,
        resize_probabilities=False,
        one_step_resize=False,
    )
    return meta | changes


BAKED = make_meta(text_input=False, names=['cat', 'sky'], is_thing=[True, False])


def make_graph(path, meta, inputs=INPUTS):
    helper, kinds = onnx.helper, onnx.TensorProto
    scores = np.array([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]], np.float32)
    masks = np.full((1, 2, 16, 24), -9, np.float32)
    masks[0, 0, :8], masks[0, 1, 8:] = 9, 9
    shapes = dict(
        images=(kinds.FLOAT, [1, 3, 'h', 'w']),
        text=(kinds.FLOAT, ['v', 4]),
        class_ids=(kinds.INT64, ['v']),
        seen=(kinds.BOOL, ['k']),
    )
    graph = helper.make_graph(
        [helper.make_node('Identity', [f'{x}_'], [x]) for x in OUTPUTS],
        'graph',
        [helper.make_tensor_value_info(x, *shapes[x]) for x in inputs],
        [helper.make_tensor_value_info(x, kinds.FLOAT, None) for x in OUTPUTS],
        [
            onnx.numpy_helper.from_array(value, f'{name}_')
            for name, value in zip(OUTPUTS, (scores, masks), strict=True)
        ],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10
    )
    if meta is not None:
        text = meta if isinstance(meta, str) else json.dumps(meta)
        helper.set_model_props(model, {'mmovseg': text})
    onnx.save(model, path)
    return path


def make_arrays(**changes):
    arrays = dict(
        text=np.eye(4, dtype=np.float32)[:3],
        class_ids=np.array([0, 0, 1]),
        seen=np.array([True, False]),
        names=np.array(['cat', 'sky']),
        is_thing=np.array([True, False]),
        text_model=np.array('tiny'),
        text_fingerprint=np.array('abc'),
    )
    return {k: v for k, v in (arrays | changes).items() if v is not None}


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs the demo on a photo; its status and messages."""
    Image.new('RGB', (30, 20)).save(tmp_path / 'photo.png')
    np.savez(tmp_path / 'words.npz', **make_arrays())
    make_graph(tmp_path / 'model.onnx', make_meta())

    def run(model='model.onnx', words='words.npz', photos=('photo.png',), out='out'):
        text = ['--text', str(tmp_path / words)] if words else []
        photos = [str(tmp_path / x) for x in photos]
        out = ['--out-dir', str(tmp_path / out)]
        status = demo.main([str(tmp_path / model), *photos, *text, *out])
        return status, capsys.readouterr().err

    return run


def test_a_graph_gives_its_segments(run, tmp_path):
    assert run() == (0, '')
    record = json.loads((tmp_path / 'out/photo.json').read_text())
    assert [x['name'] for x in record['segments']] == ['sky', 'cat']


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda x: x.mkdir(), 'is no file'),
        (lambda x: os.mkfifo(x), 'is no file'),
        (lambda x: None, 'is missing'),
        (lambda x: x.write_bytes(b''), 'no ONNX model that runs'),
        (lambda x: x.write_bytes(os.urandom(999)), 'no ONNX model that runs'),
        (lambda x: make_graph(x, None), 'says format None'),
        (lambda x: make_graph(x, '{'), 'broken metadata'),
        (lambda x: make_graph(x, '[1]'), 'says format None'),
        (lambda x: make_graph(x, make_meta(format=1)), 'says format 1'),
        (lambda x: make_graph(x, make_meta(scale='big')), 'wrong metadata, scale'),
        (lambda x: make_graph(x, make_meta(padding=[1])), 'wrong metadata, padding'),
        (lambda x: make_graph(x, dict(format=FORMAT)), 'wrong metadata, text_model'),
        (lambda x: make_graph(x, make_meta(), INPUTS[:1]), 'has the inputs'),
        (lambda x: make_graph(x, BAKED, INPUTS[:1]), 'leave --text out'),
    ],
)
def test_foreign_models_are_explained(run, tmp_path, make, message):
    make(tmp_path / 'other.onnx')
    status, said = run(model='other.onnx')
    assert status == 2 and f'{message}' in said and 'other.onnx' in said


def save_zip(path):
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('text.npy', b'not an array')


def save(**changes):
    return lambda path: np.savez(path, **make_arrays(**changes))


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda x: x.mkdir(), 'is no file'),
        (lambda x: x.write_text('{}'), 'holds no text embeddings'),
        (lambda x: x.write_bytes(b'PK\3\4' + bytes(99)), 'holds no text embeddings'),
        (lambda x: x.write_bytes(b'\x93NUMPY\1\0'), 'holds no text embeddings'),
        (save_zip, 'holds no text embeddings'),
        (save(names=None), 'holds no text embeddings'),
        (save(text_fingerprint=None), 'holds no text embeddings'),
        (save(names=np.array(['cat', None])), 'holds no text embeddings'),
        (
            save(text_model=np.array('RN50')),
            'encoded by RN50, the model needs those of',
        ),
        (
            save(text_fingerprint=np.array('x')),
            'weights, templates or training classes',
        ),
        (save(text=np.eye(3, dtype=np.float32)), 'is damaged'),
        (save(text=np.eye(4)[:3].astype(int)), 'is damaged'),
        (save(text=np.full((3, 4), np.nan, np.float32)), 'is damaged'),
        (save(class_ids=np.array([0, 0, 7])), 'is damaged'),
        (save(class_ids=np.array([0, 0, 0])), 'is damaged'),
        (save(class_ids=np.array([0, 1])), 'is damaged'),
        (save(seen=np.array([1, 0])), 'is damaged'),
        (save(names=np.array(['cat'])), 'is damaged'),
        (save(is_thing=np.array([True])), 'no names and thing flags'),
    ],
)
def test_foreign_text_is_explained(run, tmp_path, make, message):
    make(tmp_path / 'other.npz')
    status, said = run(words='other.npz')
    assert status == 2 and message in said and 'other.npz' in said


def test_a_graph_with_classes_baked_in(run, tmp_path):
    make_graph(tmp_path / 'baked.onnx', BAKED, INPUTS[:1])
    assert run(model='baked.onnx', words=None) == (0, '')
    make_graph(tmp_path / 'bare.onnx', BAKED | dict(names=None), INPUTS[:1])
    status, said = run(model='bare.onnx', words=None)
    assert status == 2 and 'no names and thing flags' in said


def test_rows_of_other_numbers_of_classes_are_explained(run, tmp_path):
    three = dict(names=np.array([*'abc']), is_thing=np.array([True] * 3))
    three |= dict(seen=np.array([True] * 3), class_ids=np.arange(3))
    np.savez(tmp_path / 'three.npz', **make_arrays(**three))
    status, said = run(words='three.npz')
    assert status == 1 and 'scores 2 classes, but 3 are named' in said


def test_a_bad_photo_stops_no_other(run, tmp_path):
    for name, content in (
        ('empty.png', b''),
        ('a.jpg', b'\xff\xd8x'),
        ('x.tif', b'II'),
    ):
        (tmp_path / name).write_bytes(content)
    (tmp_path / 'script.png').write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n')
    os.mkfifo(tmp_path / 'pipe.png')
    bad = ['empty.png', 'a.jpg', 'x.tif', 'script.png', 'pipe.png', 'none\n.png']
    status, said = run(photos=[*bad, 'photo.png'])
    assert status == 1 and len(said.splitlines()) == len(bad)
    assert 'none_.png' in said  # no line break on a terminal
    assert (tmp_path / 'out/photo.json').is_file()


def test_no_file_is_overwritten(run, tmp_path):
    status, said = run(out='.')
    assert status == 2 and 'choose another --out-dir' in said
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/photo.json').write_text('mine')
    for _ in range(2):  # the second time over the results of the first
        assert run()[0] == 0
    assert (tmp_path / 'out/photo.json').read_text() == 'mine'
    assert {x.name for x in (tmp_path / 'out').iterdir()} == {
        *('photo.json', 'photo_2.json', 'photo_2_labels.png', 'photo_2_overlay.png'),
    }
    (tmp_path / 'file').write_text('')
    assert run(out='file')[0] == 2


def test_results_of_equal_stems_are_kept_apart(run, tmp_path):
    photos = ['a.png', 'A.bmp', 'b.png', 'x/a.png', 'a_2.png']
    (tmp_path / 'x').mkdir()
    for name in photos:
        Image.new('RGB', (64, 64)).save(tmp_path / name)
    assert run(photos=photos)[0] == 0
    names = {x.stem for x in (tmp_path / 'out').glob('*.json')}
    assert names == {'a', 'A_2', 'b', 'a_3', 'a_2_2'}
    assert json.loads((tmp_path / 'out/A_2.json').read_text())['image'] == 'A_2'


def test_narrow_photos_and_failures_of_the_runtime(run, tmp_path, monkeypatch):
    Image.new('RGB', (600, 12)).save(tmp_path / 'narrow.png')
    shapes, session_run = [], onnxruntime.InferenceSession.run

    def watch(session, names, feeds):
        shapes.append(feeds['images'].shape[2:])
        if len(shapes) == 2:
            raise RuntimeError('no memory')
        return session_run(session, names, feeds)

    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', watch)
    status, said = run(photos=['narrow.png', 'photo.png', 'narrow.png'])
    assert status == 1 and 'photo.png: ONNX Runtime failed' in said
    assert shapes[0] == (64, 96) and len(shapes) == 3
    assert Image.open(tmp_path / 'out/narrow_labels.png').size == (600, 12)
