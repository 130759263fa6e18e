"""The page in Chromium: what a user does, and what they are told."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmovseg.formats.image_file import decode_photo
from mmovseg.labels import FORMATS, check_formats, write_labels
from mmovseg.labels.photo_labels import PhotoLabels
from mmovseg.vocabulary import Vocabulary
from mmovseg.web import Client

pytestmark = pytest.mark.web
pytest.importorskip('gradio', reason='gradio')
playwright = pytest.importorskip('playwright.sync_api', reason='playwright')
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
if CHROMIUM is None:
    pytest.skip('needs Chromium', allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
NAMES = 'purple circle, red cross, stuff: sand'
OTHER = 'green thing; green square; green heart, stuff: brick'
WAIT = 30_000  # milliseconds


@pytest.fixture(scope='module')
def url(tmp_path_factory):
    """Run the command with small limits."""
    folder = tmp_path_factory.mktemp('serve')
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'mmovseg.cli', 'serve', '--model', 'tiny'),
            *('--port', '0', '--max-names', '5', '--max-megapixels', '1'),
        ],
        env=dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope='module')
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=['--no-sandbox']
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, url):
    page = browser.new_page(viewport=dict(width=1200, height=1000))
    page.set_default_timeout(WAIT)
    page.told, page.asked = [], []
    page.on('console', lambda x: page.told.append(x.text) if x.type == 'error' else 0)
    page.on('pageerror', lambda x: page.told.append(str(x)))
    page.on('request', lambda x: page.asked.append((x.method, x.url)))
    page.goto(url)
    page.wait_for_selector('#segment')
    yield page
    page.close()


@pytest.fixture
def photo(tmp_path, drawing):
    path = tmp_path / 'drawing.png'
    path.write_bytes(drawing)
    return path


def send(page, path):
    """Choose a photo, and wait until the server has it."""
    with page.expect_response(re.compile('/upload')):
        page.set_input_files('#photo input[type=file]', path)
    page.wait_for_selector('#photo img')
    page.wait_for_selector('#view .hint:has-text("Now name classes")')


def ask(page, names):
    """Type names, press Enter, and wait for the answer."""
    with answering(page):
        page.fill('#names textarea', names)
        page.press('#names textarea', 'Enter')


@contextmanager
def answering(page):
    """Wait until there is another answer than before."""
    before = page.inner_html('#view')
    yield
    page.wait_for_function(
        "html => document.querySelector('#view').innerHTML !== html"
        " && document.querySelector('#view figure, #view .error')"
        " && !document.querySelector('#view .generating, #view .pending')",
        arg=before,
    )


def read_table(page):
    rows = page.locator('#view tbody tr').all()
    return [tuple(row.locator('td').all_inner_texts()) for row in rows]


def wait_for_picture(page):
    """Wait until the picture is there; return its address."""
    image = page.locator('#view figure img')
    page.wait_for_function(
        "() => document.querySelector('#view figure img').naturalWidth > 0"
    )
    return image.get_attribute('src')


def test_a_photo_and_names_become_segments(page, url, photo, web_model, drawing):
    send(page, photo)
    ask(page, NAMES)
    first = wait_for_picture(page)
    expected = web_model.segment(decode_photo(drawing, 'a'), NAMES, min_area=64)
    assert read_table(page) == expected.table()
    # The name of the segment under the pointer.
    box = page.locator('#view figure img').bounding_box()
    for segment in expected.segments[:3]:
        y, x = np.argwhere(expected.label_map == segment.id)[segment.area // 2]
        page.mouse.move(
            box['x'] + (x + 0.5) / 192 * box['width'],
            box['y'] + (y + 0.5) / 192 * box['height'],
        )
        name = f'{segment.name} {segment.score:.2f}'
        page.wait_for_selector(f'#view .tip:text-is("{name}")')
    page.mouse.move(2, 2)
    page.wait_for_selector('#view .tip', state='hidden')
    # Other names: another picture, and the photo is not sent again.
    ask(page, OTHER)
    assert wait_for_picture(page) != first
    other = web_model.segment(decode_photo(drawing, 'a'), OTHER, min_area=64)
    assert read_table(page) == other.table()
    assert sum(method == 'POST' and '/upload' in x for method, x in page.asked) == 1
    # Nothing comes from elsewhere, and nothing is wrong.
    assert all(x.startswith((url, 'data:', 'blob:')) for _, x in page.asked)
    assert not page.told


def test_files_are_those_of_the_api(page, url, photo, web_model, drawing, tmp_path):
    send(page, photo)
    ask(page, NAMES)
    vocabulary = Vocabulary.from_string(NAMES)
    result = web_model.segment(decode_photo(drawing, 'a'), NAMES, min_area=64)
    labels = PhotoLabels.from_result(result, photo.name)
    answer = Client(url).segment(photo, NAMES)
    links = {x.inner_text(): x for x in page.locator('#view .files a').all()}
    for form in FORMATS:
        try:
            check_formats([form], vocabulary)
        except ValueError as error:
            assert form not in links
            page.click('#view summary')
            assert str(error) in page.inner_text('#view details')
            page.click('#view summary')
            continue
        with page.expect_download() as waiting:
            links[form].click()
        assert waiting.value.suggested_filename == f'drawing_{form}.zip'
        with zipfile.ZipFile(waiting.value.path()) as archive:
            found = {x: archive.read(x) for x in archive.namelist()}
        answer.save_labels(tmp_path / 'client', form)
        write_labels([form], [labels], vocabulary, tmp_path / 'python')
        if form == 'yolo':
            assert found.pop('yolo/images/drawing.png') == drawing
            (tmp_path / 'client/yolo/images/drawing.png').unlink()
        for folder in (tmp_path / 'client', tmp_path / 'python'):
            files = [x for x in (folder / form).rglob('*') if x.is_file()]
            assert found == {
                x.relative_to(folder).as_posix(): x.read_bytes() for x in files
            }
    with page.expect_download() as waiting:
        links['drawing'].click()
    saved = np.asarray(Image.open(waiting.value.path()))
    assert np.array_equal(saved, result.overlay())
    assert not page.told


@pytest.mark.parametrize(
    'names, message',
    [
        (' ', 'Name at least one class'),
        ('a, b, c, d, e, f', 'There are 6 names, and there can be 5 at most'),
        ('/etc/names.txt', 'no files of names are read here'),
        ('<b>cat</b>', '<b>cat'),  # shown as it is, not as markup
    ],
)
def test_names_that_cannot_be_used(page, photo, names, message):
    send(page, photo)
    ask(page, names)
    assert message in page.inner_text('#view .error')
    assert not page.told


def make_large():
    buffer = io.BytesIO()
    Image.new('1', (20000, 10000)).save(buffer, format='PNG')
    return buffer.getvalue()


@pytest.mark.parametrize(
    'data, message',
    [
        (b'no photo', 'photo.png is not an image of a known format'),
        (make_large, 'photo.png has far too many pixels, and there can be 1 million'),
        (None, 'photo.png is cut off after 900 bytes'),
    ],
    ids=['text', 'large', 'cut'],
)
def test_photos_that_cannot_be_used(page, tmp_path, drawing, data, message):
    path = tmp_path / 'photo.png'
    data = data() if callable(data) else data
    path.write_bytes(drawing[:900] if data is None else data)
    page.fill('#names textarea', NAMES)
    page.set_input_files('#photo input[type=file]', path)
    page.wait_for_selector('#view .error')
    assert message in page.inner_text('#view .error')


def test_names_are_no_markup(page, photo):
    send(page, photo)
    ask(page, 'stuff: ${1+1} {{value}} & co')
    assert not page.locator('#view .error').count()
    wait_for_picture(page)
    assert read_table(page)[0][0] == '${1+1} {{value}} & co'


def test_examples(page):
    with answering(page):
        page.click('text="purple circle, red cross, stuff: sand"')
    assert {'purple circle', 'sand'} <= {row[0] for row in read_table(page)}
    first = wait_for_picture(page)
    with answering(page):
        page.click('text="cat; kitten, stuff: wall; background"')
    assert wait_for_picture(page) != first
    assert page.input_value('#names textarea').startswith('cat; kitten')
    assert not page.told


def test_other_results(page, photo):
    send(page, photo)
    ask(page, NAMES)
    first = wait_for_picture(page)
    page.click('text="More"')
    with answering(page):
        page.click('label:has-text("semantic")')
    assert wait_for_picture(page) != first
    assert {row[2] for row in read_table(page)} == {''}  # without scores
