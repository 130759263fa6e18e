"""The page: photo and names in, drawing with names under the pointer out."""

from __future__ import annotations

import html
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from PIL import Image

from ..apis.config import config_folders
from ..apis.results import TASKS
from ..labels import FORMATS
from ..shapeworld.drawing import draw_numbered
from .service import EXAMPLE, RequestError, Service, StoredResult, clean_name
from .work_queue import BusyError, TooSlowError

ASSETS = Path(__file__).parent
HELP = (
    'A comma ends a class, ";" separates names of one class, "stuff:" marks what '
    'nobody counts. Or the name of a packaged list, such as ade20k_150.'
)
# Drawings of ShapeWorld: number, and names that fit it.
DRAWINGS = (
    (5, 'purple circle, red cross, stuff: sand'),
    (12, 'red thing; red star; red heart, stuff: ground; grass; wood; tiles'),
)
PHOTOS = (
    ('chelsea.jpg', 'cat; kitten, stuff: wall; background'),
    ('coffee.jpg', 'cup; mug, saucer; plate, spoon, stuff: table; wood'),
)


def add_page(app: FastAPI, service: Service, classes: str = '') -> None:
    """Put the page at the root of an application.

    Args:
        app: The application.
        service: What the page shows.
        classes: Names that it has at the start.
    """
    gr.mount_gradio_app(
        app,
        build_page(service, classes),
        path='/',
        max_file_size=service.limits.max_bytes,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=True,
        theme=make_theme(),
    )


def make_theme() -> gr.themes.Base:
    """Return a theme with fonts of the machine, and texts that are easy to read."""
    theme = gr.themes.Default(
        primary_hue='indigo',
        font=['system-ui', 'sans-serif'],
        font_mono=['monospace'],
    )
    return theme.set(
        block_info_text_color='*neutral_600',
        block_info_text_color_dark='*neutral_300',
        body_text_color_subdued='*neutral_600',
        body_text_color_subdued_dark='*neutral_300',
        input_placeholder_color='*neutral_500',
        input_placeholder_color_dark='*neutral_400',
    )


def build_page(service: Service, classes: str = '') -> gr.Blocks:
    """Build the page.

    Args:
        service: What it shows.
        classes: Names that it has at the start.
    """

    def show(photo: Any, names: Any, task: Any = TASKS[0], score: Any = 0) -> str:
        return answer(service, photo, names, task, score, folder=blocks.GRADIO_CACHE)

    def show_new(photo: Any, names: Any, *rest: Any) -> str:
        if not str(names).strip():
            return make_hint('The photo is here. Now name classes, and press Enter.')
        return show(photo, names, *rest)

    with gr.Blocks(
        title='mmovseg', analytics_enabled=False, delete_cache=(600, 3600)
    ) as blocks:
        gr.Markdown(describe(service))
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                photo = gr.Image(
                    label='Photo',
                    sources=['upload', 'clipboard'],
                    type='filepath',
                    image_mode=None,
                    buttons=[],
                    elem_id='photo',
                    height=300,
                )
                names = gr.Textbox(
                    classes,
                    label='Names',
                    placeholder=EXAMPLE,
                    info=HELP,
                    max_lines=8,
                    elem_id='names',
                )
                button = gr.Button('Segment', variant='primary', elem_id='segment')
                with gr.Accordion('More', open=False):
                    task = gr.Radio(list(TASKS), value=TASKS[0], label='Kind of result')
                    score = gr.Slider(
                        0,
                        1,
                        0,
                        step=0.05,
                        label='Least score',
                        info='0 takes the default: 0.3 for instances, else all.',
                    )
            with gr.Column(scale=3, min_width=320):
                view = gr.HTML(
                    make_hint('Choose a photo, name classes, and press Segment.'),
                    css_template=(ASSETS / 'view.css').read_text(),
                    js_on_load=(ASSETS / 'view.js').read_text(),
                    apply_default_css=False,
                    elem_id='view',
                )
        changes = [button.click, names.submit, task.input, score.release]
        for triggers, function in ((changes, show), ([photo.upload], show_new)):
            gr.on(
                triggers,
                function,
                [photo, names, task, score],
                view,
                preprocess=False,  # Gradio would open photos itself, without limits
                concurrency_limit=service.limits.places,
                trigger_mode='always_last',
                api_visibility='private',
            )
        gr.Examples(
            [[path, names] for path, names in list_examples(blocks.GRADIO_CACHE)],
            [photo, names],
            view,
            show,
            preprocess=False,
            run_on_click=True,
            cache_examples=False,
            api_visibility='private',
        )
    blocks.queue(default_concurrency_limit=service.limits.places)
    return blocks


def describe(service: Service) -> str:
    """Return the text at the top, as Markdown."""
    known = f'Model: **{service.name}**. ' if service.name else ''
    if service.name == 'tiny':
        known += 'It knows drawings only; mmovseg models lists models for photos. '
    return f'# mmovseg\n{known}Photos stay on this machine.'


def list_examples(folder: str) -> Iterator[tuple[str, str]]:
    """Yield the packaged photos and some drawings, with names for each.

    Args:
        folder: Where they are put; the page can ask for nothing elsewhere.
    """
    place = Path(folder, 'examples')
    place.mkdir(parents=True, exist_ok=True)
    for number, names in DRAWINGS:
        path = place / f'drawing_{number}.png'
        Image.fromarray(draw_numbered(0, 'val', number, 192).image).save(path)
        yield str(path), names
    photos = Path(config_folders()[0]).parent / 'demo' / 'images'
    for name, names in PHOTOS:
        yield shutil.copy(str(photos / name), str(place)), names


def answer(
    service: Service,
    photo: Any,
    names: Any,
    task: Any = TASKS[0],
    score_thr: Any = 0,
    *,
    folder: str,
) -> str:
    """Segment; return HTML for the page, also about what went wrong.

    Values come from the browser as they are, so anything may be in them.

    Args:
        service: What does it.
        photo: Where the photo is (``path``), and what it was called (``orig_name``); of
            an example the path alone.
        names: The classes, as typed.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.
        score_thr: Least score; 0 takes the default.
        folder: Where Gradio keeps what was sent; no other files are read.
    """
    try:
        data, file_name = _read_sent(photo, folder)
        if not isinstance(score_thr, (int, float)):
            raise RequestError(f'The least score is a number, got {score_thr!r}.')
        done = service.segment(
            str(names),
            data=data,
            file_name=file_name,
            task=str(task),
            score_thr=score_thr or None,
        )
    except (RequestError, BusyError, TooSlowError) as error:
        return make_error(str(error))
    return make_view(service, done)


def _read_sent(photo: Any, folder: str) -> tuple[bytes, str]:
    """Return content and name of a photo that was sent to the page."""
    photo = dict(path=photo) if isinstance(photo, str) else photo
    if not isinstance(photo, dict) or not isinstance(photo.get('path'), str):
        raise RequestError('There is no photo: choose one first.')
    path = Path(os.path.realpath(photo['path']))
    file_name = str(photo.get('orig_name') or path.name)
    if not path.is_relative_to(os.path.realpath(folder)) or not path.is_file():
        raise RequestError(f'{clean_name(file_name)} is not here: choose it again.')
    return path.read_bytes(), file_name


def make_hint(text: str) -> str:
    """Return HTML for a hint."""
    return f'<p class="hint">{html.escape(text)}</p>'


def make_error(text: str) -> str:
    """Return HTML for an error."""
    return f'<p class="error" role="alert">{html.escape(text)}</p>'


def make_view(service: Service, done: StoredResult) -> str:
    """Return HTML for a result: picture, table, and files to save."""
    place = f'api/results/{done.key}'
    rows = done.result.table()
    shown = [f'{name} {score}'.strip() for name, _, score, *_ in rows]
    found = ', '.join(dict.fromkeys(segment.name for segment in done.result.segments))
    count = len(rows)
    title = f'{count} segment{"" if count == 1 else "s"}'
    if not count:
        title += ': nothing of these names was found'
    notes = ''.join(f'<p class="note">{html.escape(x)}</p>' for x in done.notes)
    return f"""
{notes}
<figure data-numbers="{place}/numbers.png" data-names="{_quote(shown)}">
<img src="{place}/picture.png" alt="{html.escape(f'{title}: {found}')}">
<canvas aria-hidden="true"></canvas><span class="tip" hidden></span>
</figure>
<p class="count" role="status">{html.escape(title)}</p>
{_make_table(rows)}
{_list_files(service, done, place)}
"""


def _quote(value: Any) -> str:
    return html.escape(json.dumps(value, ensure_ascii=False))


def _make_table(rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return ''
    head = ('name', 'kind', 'score', 'area', 'x y width height')
    titles = ''.join(f'<th scope="col">{x}</th>' for x in head)
    lines = ''.join(
        f'<tr data-number="{number}">'
        + ''.join(f'<td>{html.escape(x)}</td>' for x in row)
        + '</tr>'
        for number, row in enumerate(rows, 1)
    )
    return f'<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>'


def _list_files(service: Service, done: StoredResult, place: str) -> str:
    """Return links to all files, and why some cannot be had."""
    links = [
        f'<a href="{place}/overlay.png" download>drawing</a>',
        f'<a href="{place}/labels.png" download>label map</a>',
    ]
    lacking = []
    for form, about in FORMATS.items():
        problem = service.find_problem(done, form)
        if problem:
            lacking.append(f'<li>{html.escape(f"{form}: {problem}")}</li>')
        else:
            links.append(
                f'<a href="{place}/labels/{form}.zip" title="{about.title}" download>'
                f'{form}</a>'
            )
    text = f'<p class="files">Save: {" ".join(links)}</p>'
    if lacking:
        text += (
            f'<details><summary>{len(lacking)} formats cannot be had</summary>'
            f'<ul>{"".join(lacking)}</ul></details>'
        )
    return text
