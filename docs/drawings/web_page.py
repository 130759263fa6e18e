"""Take the picture of the page of `mmovseg serve`, docs/images/web_page.png.

    mmovseg serve --model tiny
    python docs/drawings/web_page.py http://127.0.0.1:7860

Needs playwright, and Chromium of the system.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parents[1] / 'images'
NAMES = 'purple square, red square, dotted triangle, stuff: sky, stuff: brick'
PLACE = 0.36, 0.34  # of the pointer in the picture


def take(url: str) -> bytes:
    """Return a PNG of the page with a drawing, the pointer on a segment."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which('chromium'), args=['--no-sandbox']
        )
        page = browser.new_page(viewport=dict(width=1280, height=1090))
        page.goto(url)
        page.fill('#names textarea', NAMES)
        page.set_input_files('#photo input[type=file]', IMAGES / 'drawing.png')
        image = page.wait_for_selector('#view figure img')
        page.wait_for_load_state('networkidle')
        box = image.bounding_box()
        page.mouse.move(
            box['x'] + PLACE[0] * box['width'], box['y'] + PLACE[1] * box['height']
        )
        page.wait_for_selector('#view .tip:visible')
        return page.screenshot()


if __name__ == '__main__':
    picture = Image.open(io.BytesIO(take(sys.argv[1])))
    reduced = picture.convert('RGB').quantize(256)
    reduced.save(IMAGES / 'web_page.png', optimize=True)
