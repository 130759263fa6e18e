"""Exported graphs against the eager model; the demo that has no torch."""

import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from golden_utils import ROOT, load_module
from PIL import Image

from mmovseg.apis import OVSegInferencer, init_model
from mmovseg.apis.export import (
    OUTPUTS,
    SegmentorGraph,
    describe,
    embed_vocabulary,
    export_program,
    save_text,
)
from mmovseg.cli.runs.export import check
from mmovseg.shapeworld.drawing import draw_numbered
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


@pytest.mark.slow
@pytest.mark.parametrize('form', FORMS)
def test_onnx_equals_eager_for_all_sizes(files, model, form):
    session = onnxruntime.InferenceSession(str(files(form) / 'model.onnx'))
    assert [x.name for x in session.get_outputs()] == list(OUTPUTS)
    for images, text, expected in cases(model, form):
        inputs = dict(images=images) | (text._asdict() if text else {})
        inputs = {name: value.numpy() for name, value in inputs.items()}
        for actual, value in zip(session.run(None, inputs), expected, strict=True):
            assert_near(actual, value)


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_factor_of_a_normalized_neck_follows_the_vocabulary(config):
    options = {
        'model.neck.type': 'LengthNormalizedVASNeck',
        'model.neck.num_names': 90,
    }
    model = init_model(config, cfg_options=options)
    program = export_program(model, text_input=True).module()
    for images, text, expected in cases(model, 'text'):
        for actual, value in zip(program(images, *text), expected, strict=True):
            assert_near(actual, value)


@pytest.mark.slow
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


@pytest.mark.slow
def test_check_tells_the_file_of_another_model(files, model, capsys):
    path = files('text') / 'model.pt2'
    capsys.readouterr()
    assert all(x['equal'] for x in check(model, path, text_input=True))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.text_classifier.void_embedding.weight.neg_()
    assert not any(x['equal'] for x in check(other, path, text_input=True))
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_demo_refuses_text_of_other_weights(files, model, photo, tmp_path):
    folder = files('text')
    done = run_demo(folder / 'model.onnx', photo)
    assert done.returncode == 2
    assert 'text_input=True: pass --text' in done.stderr
    other = copy.deepcopy(model)
    with torch.no_grad():
        next(other.text_classifier.clip.parameters()).mul_(1.01)
    retrained = copy.deepcopy(model)
    retrained.train_vocabulary = Vocabulary.from_names(['cat', 'grass', 'sky'])
    for changed in (other, retrained):
        save_text(changed, model.vocabulary, tmp_path / 'other.npz')
        done = run_demo(folder / 'model.onnx', photo, '--text', tmp_path / 'other.npz')
        assert done.returncode == 2
        assert 'encoded by weights, templates or training classes' in done.stderr


@pytest.mark.slow
def test_an_empty_batch_is_an_error(files, model):
    """Without the check of the graph the process dies, so the test would too."""
    session = onnxruntime.InferenceSession(str(files('text') / 'model.onnx'))
    text = {
        x: y.numpy()
        for x, y in embed_vocabulary(model, model.vocabulary)._asdict().items()
    }
    with pytest.raises(Exception, match='a_batch_needs_at_least_one_image'):
        session.run(None, dict(images=np.zeros((0, 3, 64, 64), np.float32), **text))


def test_mistakes_are_explained(tool, config, model, tmp_path, capsys):
    with pytest.raises(SystemExit, match='2'):  # of options
        tool.main([config, 'model.pth'])
    assert 'model.pth must end with .onnx, .pt2 or .npz' in capsys.readouterr().err
    resize = 'test_pipeline=[dict(type="Resize",scale=(64,64),keep_ratio=False)]'
    path = tmp_path / 'stretched.py'
    path.write_text(f'_base_ = [{config!r}]\n{resize}\n')
    with pytest.raises(SystemExit, match=r'error: .*resizes neither by Resize'):
        tool.main([str(path), str(tmp_path / 'model.onnx')])
    model.train()
    try:
        with pytest.raises(ValueError, match='EOVSeg is in training mode'):
            export_program(model)
    finally:
        model.eval()
