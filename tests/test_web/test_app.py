"""The REST interface: by its own client, and what it refuses."""

import io
import json
import re
import threading

import numpy as np
import pytest
from PIL import Image

from mmovseg.formats.image_file import decode_photo
from mmovseg.labels import write_labels
from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.vocabulary import Vocabulary
from mmovseg.web import Client, Limits, ServiceError
from mmovseg.web.service import Service

pytest.importorskip('gradio', reason='gradio')
pytestmark = pytest.mark.web

from starlette.testclient import TestClient  # noqa: E402

from mmovseg.web.app import make_app  # noqa: E402

NAMES = 'purple circle, red cross, stuff: sand'


@pytest.fixture(scope='module')
def server(web_model, serving):
    service = Service(web_model, Limits(max_bytes=1_000_000), name='tiny')
    with serving(make_app(service, page=False)) as url:
        yield url


@pytest.fixture
def client(server):
    return Client(server)


@pytest.fixture
def ask(web_model):
    """Make a client of Starlette for an application with limits."""

    def make(limits=None, base_url='http://localhost'):
        service = Service(web_model, limits, name='tiny')
        return TestClient(make_app(service, page=False), base_url=base_url)

    return make


@pytest.mark.parametrize('task', ['panoptic', 'instance', 'semantic'])
def test_the_client_has_the_results_of_the_model(
    client, web_model, drawing, tmp_path, task
):
    path = tmp_path / 'a "photo".png'
    path.write_bytes(drawing)
    expected = web_model.segment(decode_photo(drawing, 'a'), NAMES, task=task)
    answer = client.segment(path, NAMES, task=task)
    assert [vars(x) for x in answer.segments] == [
        {**dict(x), 'box': tuple(x.box), 'mask': x.mask} for x in expected.segments
    ]
    assert (answer.height, answer.width, answer.task) == (192, 192, task)
    assert np.array_equal(answer.label_map(), expected.label_map)
    overlay = Image.open(io.BytesIO(answer.overlay()))
    assert np.array_equal(np.asarray(overlay), expected.overlay())
    folders = answer.save_labels(tmp_path / 'found', 'coco', 'voc')
    assert folders == [tmp_path / 'found' / 'coco', tmp_path / 'found' / 'voc']
    photo = PhotoLabels.from_result(expected, answer.image)
    vocabulary = Vocabulary.from_string(NAMES)
    write_labels(['coco', 'voc'], [photo], vocabulary, tmp_path / 'wanted')
    files = [
        x.relative_to(tmp_path / 'wanted') for x in list_files(tmp_path / 'wanted')
    ]
    assert len(files) == len(list_files(tmp_path / 'found')) > 3
    for file in files:
        found, wanted = tmp_path / 'found' / file, tmp_path / 'wanted' / file
        assert found.read_bytes() == wanted.read_bytes()


def list_files(folder):
    return [path for path in folder.rglob('*') if path.is_file()]


def test_other_names_for_the_same_photo(client, drawing):
    first = client.segment(drawing, NAMES, name='b.png')
    second = client.segment(first, 'red cross', score_thr=0.9)
    assert second.photo == first.photo and second.image == 'b.png'
    assert all(x.name == 'red cross' and x.score >= 0.9 for x in second.segments)
    assert client.segment(first, 'cat; kitten').notes


def test_the_description(client):
    about = client.describe()
    assert about['model'] == 'tiny' and 'coco' in about['formats']
    assert about['limits']['max_bytes'] == 1_000_000


@pytest.mark.parametrize(
    'arguments, message, status',
    [
        ((b'no photo', NAMES), 'photo is not an image', 400),
        ((b'x' * 5_000_000, NAMES), '^The photo has 5 megabytes, .* 1 at most', 413),
        ((b'', NAMES), 'photo is empty', 400),
        ((None, ' '), 'Name at least one class', 400),
        ((None, 'cat, cat'), 'both called', 400),
    ],
)
def test_the_client_says_what_is_wrong(client, drawing, arguments, message, status):
    photo, names = arguments
    with pytest.raises(ServiceError, match=message) as caught:
        client.segment(drawing if photo is None else photo, names)
    assert caught.value.status == status


def test_formats_that_cannot_be_had(client, drawing, tmp_path):
    answer = client.segment(drawing, NAMES)
    with pytest.raises(ServiceError, match='cityscapes has no class'):
        answer.save_labels(tmp_path, 'cityscapes')
    with pytest.raises(ServiceError, match=r"no format '\.\./coco'"):
        answer.save_labels(tmp_path, '../coco')
    with pytest.raises(ServiceError, match="Did you mean 'coco'"):
        answer.save_labels(tmp_path, 'voc', 'cocoo')
    assert not list_files(tmp_path)


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(), 'Name at least one class'),
        (dict(classes=NAMES), 'There is no photo'),
        (dict(classes=NAMES, photo_key='x'), 'not kept any more'),
        (dict(classes=NAMES, score_thr='much'), "score_thr: .*number.*, got 'much'"),
        (dict(classes=NAMES, score_thr='2'), 'score_thr is from 0 to 1, got 2'),
        (dict(classes=NAMES, task='depth'), 'task must be one of'),
    ],
)
def test_forms_that_are_wrong(ask, fields, message):
    answer = ask().post('/api/segment', data=fields)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {'error'}
    assert re.search(message, answer.json()['error'])


def test_a_result_can_be_fetched_again(ask, drawing):
    client = ask()
    form = dict(files=dict(photo=('ä.png', drawing)), data=dict(classes=NAMES))
    found = client.post('/api/segment', **form).json()
    assert found['image'] == 'ä.png'
    place = f'/api/results/{found["result"]}'
    assert client.get(place).json() == found
    answer = client.get(f'{place}/labels/coco.zip')
    assert answer.headers['content-disposition'] == 'attachment; filename="__coco.zip"'
    for name in ('overlay', 'labels', 'picture', 'numbers'):
        answer = client.get(f'{place}/{name}.png')
        assert answer.headers['content-type'] == 'image/png'
    wrong = client.get('/api/results/none/overlay.png')
    assert wrong.status_code == 404 and 'not kept' in wrong.json()['error']
    wrong = client.get('/api/nothing')
    assert wrong.status_code == 404 and 'POST /api/segment' in wrong.json()['error']


def test_other_sites_are_refused(ask):
    assert ask(base_url='http://example.com').get('/api/info').status_code == 400
    client = ask()
    headers = dict(origin='http://example.com')
    assert client.get('/api/info', headers=headers).status_code == 403
    headers = dict(origin='http://localhost:7860')
    assert client.get('/api/info', headers=headers).status_code == 200


def test_forms_without_end_are_refused(ask):
    answer = ask().post('/api/segment', content=iter([b'x']))
    assert answer.status_code == 411 and 'Content-Length' in answer.json()['error']


def test_time_and_places(ask, web_model, drawing, monkeypatch):
    go_on, started = threading.Event(), threading.Event()
    segment = type(web_model).segment

    def wait(self, *arguments, **options):
        started.set()
        assert go_on.wait(30)
        return segment(self, *arguments, **options)

    monkeypatch.setattr(type(web_model), 'segment', wait)
    client = ask(Limits(timeout=0.3, places=1))
    form = dict(files=dict(photo=drawing), data=dict(classes=NAMES))
    answer = client.post('/api/segment', **form)
    assert answer.status_code == 504 and '--timeout' in answer.json()['error']
    assert started.is_set()
    answer = client.post('/api/segment', **form)  # the first one still runs
    assert answer.status_code == 503 and 'waiting already' in answer.json()['error']
    go_on.set()


def test_the_description_for_machines(ask):
    paths = json.loads(ask().get('/api/openapi.json').content)['paths']
    assert {'/api/info', '/api/segment'} <= set(paths)
