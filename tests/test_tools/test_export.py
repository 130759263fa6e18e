"""Exported graphs against the eager model; the demo that has no torch."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_utils import ROOT, load_module
from mmengine.structures import BaseDataElement
from PIL import Image

from mmovseg.apis import OVSegInferencer, init_model, read_result
from mmovseg.apis.export import (
    OUTPUTS,
    SegmentorGraph,
    describe,
    embed_vocabulary,
    export_program,
)
from mmovseg.apis.images import find_images, load_image
from mmovseg.datasets.shapeworld import draw_numbered
from mmovseg.models.fusion import MaskFusion
from mmovseg.models.structures import MaskPrediction
from mmovseg.vocabulary import Vocabulary

onnxruntime = pytest.importorskip('onnxruntime', reason="needs '.[export]'")
pytest.importorskip('onnxscript', reason="needs '.[export]'")

CLASSES = 'cat; kitty, stuff: grass, dog, stuff: blue sky; sky; heaven'
OTHERS = 'stuff: water, red circle; red disc, dog, tree, stuff: grass, hat, cup'
# Tracing and converting a form takes half a minute.
FORMS = [pytest.param('baked', marks=pytest.mark.slow), 'text']
# The smallest, which both towers have positions for; a wide and a high one.
SHAPES = [(1, 64, 64), (3, 64, 160), (2, 224, 96)]
TOLERANCE = 1e-3


@pytest.fixture(scope='module')
def tool():
    return load_module(ROOT / 'tools/deployment/export.py')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    base = ROOT / 'configs/eovseg/eovseg_tiny_shapeworld.py'
    # Random towers; the rest is to get several segments from an untrained model.
    path.write_text(f"""
_base_ = [{str(base)!r}]
model = dict(
    backbone=dict(pretrained=None),
    text_classifier=dict(pretrained=None),
    spatial_backbone=dict(pretrained=None),
    ensemble=dict(alpha=0.05, beta=0.05),
    fusion=dict(iou_thr=0.05),
    train_vocabulary=['cat', 'grass'],
    test_vocabulary=['cat'],
)
""")
    return str(path)


@pytest.fixture(scope='module')
def checkpoint(config, tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('checkpoint') / 'model.pth'
    state = init_model(config).state_dict()
    for name, value in state.items():
        if name.startswith('decoder.') and name.endswith('logit_scale'):
            value.fill_(math.log(100))
    torch.save(dict(state_dict=state), path)
    return str(path)


@pytest.fixture(scope='module')
def model(config, checkpoint):
    model = init_model(config, checkpoint)
    model.set_vocabulary(Vocabulary.from_string(CLASSES))
    return model


@pytest.fixture(scope='module')
def files(tool, config, checkpoint, tmp_path_factory):
    """Return a function that exports each form once, by command line."""
    made = {}

    def export(form):
        if form not in made:
            made[form] = folder = tmp_path_factory.mktemp(form)
            names = ['model.onnx', 'model.pt2', 'words.npz']
            arguments = [config, *(str(folder / name) for name in names)]
            arguments += ['--checkpoint', checkpoint, '--classes', CLASSES]
            if form == 'text':
                arguments.append('--text-input')
            assert tool.main(arguments) == 0
            assert sorted(x.name for x in folder.iterdir()) == sorted(names)
        return made[form]

    return export


def assert_near(actual, expected):
    assert tuple(actual.shape) == tuple(expected.shape)
    error = (torch.as_tensor(actual) - expected).abs().max() / expected.abs().max()
    assert error <= TOLERANCE


def cases(model, form):
    """Yield images, inputs of a vocabulary (None if baked in), expected outputs."""
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in SHAPES:
        images = torch.rand(batch, 3, height, width, generator=generator) * 255
        for classes in (CLASSES, OTHERS) if form == 'text' else (CLASSES,):
            text = embed_vocabulary(model, Vocabulary.from_string(classes))
            with torch.no_grad():
                expected = SegmentorGraph(model, text)(images)
            yield images, text if form == 'text' else None, expected


@pytest.mark.parametrize('form', FORMS)
def test_onnx_equals_eager_for_all_sizes(files, model, form):
    session = onnxruntime.InferenceSession(str(files(form) / 'model.onnx'))
    assert [x.name for x in session.get_outputs()] == list(OUTPUTS)
    for images, text, expected in cases(model, form):
        inputs = dict(images=images) | (text._asdict() if text else {})
        inputs = {name: value.numpy() for name, value in inputs.items()}
        for actual, value in zip(session.run(None, inputs), expected, strict=True):
            assert_near(actual, value)


@pytest.mark.parametrize('form', FORMS)
def test_program_equals_eager_for_all_sizes(files, model, form):
    extra = {'mmovseg.json': ''}
    path = files(form) / 'model.pt2'
    program = torch.export.load(path, extra_files=extra).module()
    assert json.loads(extra['mmovseg.json']) == describe(
        model, text_input=form == 'text'
    )
    for images, text, expected in cases(model, form):
        for actual, value in zip(program(images, *(text or ())), expected, strict=True):
            assert_near(actual, value)


def test_program_of_a_convnext_takes_single_images(config):
    # Where VAS ordered the axes by their strides, one image did not pass the guards.
    options = {
        f'model.{part}.model_name': 'tiny-convnext'
        for part in ('backbone', 'text_classifier')
    }
    model = init_model(config, cfg_options=options)
    program = export_program(model).module()
    graph = SegmentorGraph(model, embed_vocabulary(model, model.vocabulary))
    for batch, height, width in [(1, 64, 64), (1, 64, 160), (2, 224, 96)]:
        images = torch.rand(batch, 3, height, width) * 255
        with torch.no_grad():
            for actual, value in zip(program(images), graph(images), strict=True):
                assert_near(actual, value)


@pytest.mark.slow
def test_deop_passes_the_check(tool, tmp_path, capsys):
    files = [str(tmp_path / name) for name in ('model.pt2', 'model.onnx')]
    config = 'deop_tiny_shapeworld-zs'
    assert tool.main([config, *files, '--text-input', '--check']) == 0
    assert capsys.readouterr().out.count('equals the model') == 4


def test_check_tells_the_file_of_another_model(tool, files, model, capsys):
    path = files('text') / 'model.pt2'
    capsys.readouterr()
    assert tool.check(model, path, text_input=True)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.text_classifier.void_embedding.weight.neg_()
    assert not tool.check(other, path, text_input=True)
    lines = capsys.readouterr().out.splitlines()
    assert ['DIFFERS' in line for line in lines] == [False, False, True, True]


def test_graph_equals_the_model_on_preprocessed_images(model):
    photo = torch.randint(0, 256, (3, 70, 90), dtype=torch.uint8)
    data = model.data_preprocessor(dict(inputs=[photo]))
    with torch.no_grad():
        expected = model(data['inputs'])
        images = torch.empty(1, 3, 96, 96)
        padding = describe(model, text_input=False)['padding']
        images[:] = torch.tensor(padding).view(3, 1, 1)
        images[0, :, :70, :90] = photo.flip(0)  # BGR in, RGB out
        graph = SegmentorGraph(model, embed_vocabulary(model, model.vocabulary))
        scores, mask_logits = graph(images)
    torch.testing.assert_close(scores, expected.class_logits.softmax(-1))
    torch.testing.assert_close(mask_logits, expected.mask_logits)


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """Return a drawing that has to be resized and padded."""
    path = tmp_path_factory.mktemp('photo') / 'shapes.png'
    image = Image.fromarray(draw_numbered(0, 'val', 0).image)
    image.resize((250, 170)).save(path)
    return path


def run_demo(*arguments):
    """Run the demo as typed, in a Python that has neither torch nor this package."""
    code = f"""
import runpy, sys
sys.modules.update(torch=None, mmovseg=None, mmengine=None, mmcv=None)
sys.argv[0] = {str(ROOT / 'demo/onnx_demo.py')!r}
runpy.run_path(sys.argv[0], run_name='__main__')
"""
    command = [sys.executable, '-c', code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
@pytest.mark.parametrize('form', FORMS)
def test_demo_without_torch_equals_the_inferencer(
    files, model, photo, form, task, tmp_path
):
    text = ['--text', files(form) / 'words.npz'] if form == 'text' else []
    arguments = [files(form) / 'model.onnx', photo, '--task', task, *text]
    done = run_demo(*arguments, '--out-dir', tmp_path / 'onnx')
    assert done.returncode == 0, done.stderr
    inferencer = OVSegInferencer(model, show_progress=False)
    inferencer(str(photo), task=task, out_dir=tmp_path / 'torch')
    labels, records = [], []
    for folder in (tmp_path / 'torch', tmp_path / 'onnx'):
        assert len(list(folder.iterdir())) == 3
        labels.append(np.asarray(Image.open(folder / 'shapes_labels.png')))
        records.append(json.loads((folder / 'shapes.json').read_text()))
        assert Image.open(folder / 'shapes_overlay.png').size[0] >= 250
    np.testing.assert_array_equal(*labels)
    scores = [[x.pop('score') for x in record['segments']] for record in records]
    assert records[0] == records[1]
    if task == 'panoptic':
        assert len(records[0]['segments']) > 1
        np.testing.assert_allclose(*scores, rtol=TOLERANCE)


@pytest.mark.parametrize('early', [False, True])
@pytest.mark.parametrize('task', ['panoptic', 'semantic'])
def test_merging_in_numpy_equals_the_fusion(task, early, monkeypatch):
    """Smooth random masks, many of a class; with strips of a few rows."""
    demo = load_module(ROOT / 'demo/onnx_demo.py')
    monkeypatch.setattr(demo, 'MAX_VALUES', 20_000)
    generator = torch.Generator().manual_seed(0)
    blobs = torch.randn(1, 12, 6, 8, generator=generator) * 4
    mask_logits = torch.nn.functional.interpolate(blobs, (24, 40), mode='bicubic')
    class_logits = torch.randn(1, 12, 6, generator=generator) * 2
    sizes = demo.Sizes((96, 160), (90, 133), (61, 150))
    vocabulary = Vocabulary.from_string('a, stuff: b, c, stuff: d, stuff: e')
    options = dict(object_mask_thr=0.3, iou_thr=0.4, resize_probabilities=early)
    sample = BaseDataElement(metainfo=dict(img_shape=(90, 133), ori_shape=(61, 150)))
    prediction = MaskPrediction(class_logits, mask_logits)
    MaskFusion(**options)(prediction, [sample], vocabulary, sizes.padded)
    names, is_thing = vocabulary.names, vocabulary.is_thing
    expected = read_result(sample, task, names, is_thing=is_thing)
    fuse = demo.fuse_panoptic if task == 'panoptic' else demo.fuse_semantic
    scores = class_logits.softmax(-1)[0].numpy()
    meta = dict(options, is_thing=is_thing)
    label_map, segments = fuse(scores, mask_logits[0].numpy(), sizes, meta)
    np.testing.assert_array_equal(label_map, expected.label_map)
    assert len({x['label'] for x in segments}) >= 3
    for segment, other in zip(segments, expected.segments, strict=True):
        assert {key: other[key] for key in segment} == pytest.approx(segment)
        assert demo.find_box(label_map == segment['id']) == other['box']


def test_demo_explains_what_does_not_fit(files, photo, tmp_path):
    folder = files('text')
    done = run_demo(folder / 'model.onnx', photo)
    assert done.returncode == 2
    assert 'text_input=True: pass --text' in done.stderr
    other = dict(np.load(folder / 'words.npz'))
    other['text_model'] = np.array('RN50')
    np.savez(tmp_path / 'other.npz', **other)
    done = run_demo(folder / 'model.onnx', photo, '--text', tmp_path / 'other.npz')
    assert done.returncode == 2
    assert 'encoded by RN50, the model needs those of tiny-rn' in done.stderr
    words = ['--text', folder / 'words.npz', '--out-dir', tmp_path / 'out']
    done = run_demo(folder / 'model.onnx', tmp_path / 'none.png', photo, *words)
    assert done.returncode == 1
    assert 'none.png: cannot be read' in done.stderr
    assert len(list((tmp_path / 'out').iterdir())) == 3


def save_kinds_of_photos(folder):
    """Save photos that take more than 8 bits of RGB, and names of equal stems."""
    ramp = np.linspace(0, 1, 40 * 64).reshape(40, 64)
    colours = np.random.default_rng(0).integers(0, 256, (40, 64, 4), np.uint8)
    Image.fromarray((ramp * 65535).astype(np.uint16)).save(folder / 'deep.png')
    Image.fromarray((ramp * 70000).astype(np.int32)).save(folder / 'deep.tif')
    Image.fromarray(ramp.astype(np.float32)).save(folder / 'float.tif')
    Image.fromarray(colours).save(folder / 'clear.png')
    Image.fromarray(colours[..., :2], 'LA').save(folder / 'grey.png')
    Image.fromarray(colours[..., 0]).save(folder / 'hole.png', transparency=7)
    tilted = Image.fromarray(colours[..., :3])
    tilted.getexif()[0x112] = 6  # turned by 90 degrees
    tilted.save(folder / 'tilted.png', exif=tilted.getexif())


def test_demo_reads_photos_as_the_inferencer_does(tmp_path):
    demo = load_module(ROOT / 'demo/onnx_demo.py')
    save_kinds_of_photos(tmp_path)
    for path in find_images(tmp_path):
        expected = load_image(path)[..., ::-1]
        np.testing.assert_array_equal(demo.read_photo(Path(path)), expected, path)


def test_demo_keeps_results_of_equal_stems_apart(files, tmp_path):
    demo = load_module(ROOT / 'demo/onnx_demo.py')
    paths = [tmp_path / 'a.png', tmp_path / 'A.bmp', tmp_path / 'b.png']
    for path in paths:
        Image.new('RGB', (64, 64)).save(path)
    out, folder = tmp_path / 'out', files('text')
    arguments = [folder / 'model.onnx', *paths, '--text', folder / 'words.npz']
    assert demo.main([*map(str, arguments), '--out-dir', str(out)]) == 0
    assert {x.stem for x in out.glob('*.json')} == {'a', 'A_2', 'b'}
    assert json.loads((out / 'A_2.json').read_text())['image'] == 'A_2'
    assert demo.make_names([Path('a.png'), Path('a_2.png'), Path('x/a.png')]) == [
        *('a', 'a_2', 'a_3'),
    ]


def test_demo_takes_narrow_photos_and_goes_on_after_a_failure(
    files, photo, tmp_path, monkeypatch, capsys
):
    folder = files('text')
    demo = load_module(ROOT / 'demo/onnx_demo.py')
    words = ['--text', str(folder / 'words.npz'), '--out-dir', str(tmp_path / 'out')]
    narrow = tmp_path / 'narrow.png'
    Image.new('RGB', (600, 12)).save(narrow)
    arguments = [str(folder / 'model.onnx'), str(narrow), str(photo), *words]
    sizes, run = [], onnxruntime.InferenceSession.run

    def watch(session, names, feeds):
        sizes.append(feeds['images'].shape[2:])
        return run(session, names, feeds)

    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', watch)
    assert demo.main(arguments) == 0
    assert sizes[0][0] == 64 < sizes[0][1]
    labels = Image.open(tmp_path / 'out' / 'narrow_labels.png')
    assert labels.size == (600, 12)

    def fail(session, names, feeds):
        if len(sizes) == 2:
            sizes.append(None)
            raise RuntimeError('no memory')
        return run(session, names, feeds)

    monkeypatch.setattr(onnxruntime.InferenceSession, 'run', fail)
    capsys.readouterr()
    assert demo.main(arguments) == 1
    printed = capsys.readouterr()
    assert 'narrow.png: ONNX Runtime failed' in printed.err
    assert 'no memory' in printed.err and printed.out.startswith('shapes: ')


def test_mistakes_are_explained(tool, config, model, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool.main([config, 'model.pth'])
    assert 'model.pth must end with .onnx, .pt2 or .npz' in capsys.readouterr().err
    resize = 'test_pipeline=[dict(type="Resize",scale=(64,64),keep_ratio=False)]'
    path = tmp_path / 'stretched.py'
    path.write_text(f'_base_ = [{config!r}]\n{resize}\n')
    assert tool.main([str(path), str(tmp_path / 'model.onnx')]) == 2
    assert 'resizes neither by Resize' in capsys.readouterr().err
    model.train()
    try:
        with pytest.raises(ValueError, match='EOVSeg is in training mode'):
            export_program(model)
    finally:
        model.eval()
