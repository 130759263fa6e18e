"""Draw published quality against measured time as SVG.

    python docs/drawings/quality_and_time.py

Writes docs/images/quality_and_time.svg. Times are the medians of
docs/measurements/peers_epyc.json.
"""

import json
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
TIMES = DOCS / 'measurements' / 'peers_epyc.json'
# PQ on ADE20K-150 as the authors publish it, and the name in the measurements.
MODELS = {
    'EOV-Seg S': (15.1, 'eovseg-s'),
    'EOV-Seg M': (18.7, 'eovseg-m'),
    'EOV-Seg L': (24.5, 'eovseg-l'),
    'FC-CLIP ConvNeXt-L': (26.8, 'fcclip-l'),
}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 640, 300, 60, 20, 50
MAX_SECONDS, MIN_PQ, MAX_PQ = 20, 12, 30


def draw() -> str:
    """Return the SVG."""
    systems = json.loads(TIMES.read_text())['systems']
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12" fill="#111827">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
    ]
    floor = HEIGHT - BOTTOM
    for seconds in range(0, MAX_SECONDS + 1, 5):
        x = place_x(seconds)
        parts.append(
            f'<path d="M{x:.0f} {TOP}V{floor}" stroke="#e5e7eb"/><text x="{x:.0f}" '
            f'y="{floor + 18}" text-anchor="middle">{seconds}</text>'
        )
    for quality in range(15, MAX_PQ + 1, 5):
        y = place_y(quality)
        parts.append(
            f'<path d="M{LEFT} {y:.0f}H{WIDTH - 20}" stroke="#e5e7eb"/><text '
            f'x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{quality}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">'
        'seconds per image of 640 x 960, two CPU cores</text>'
        f'<text transform="translate(18 {HEIGHT / 2:.0f}) rotate(-90)" '
        'text-anchor="middle">PQ on ADE20K, published</text>'
    )
    for name, (quality, system) in MODELS.items():
        x, y = place_x(systems[system]['median']), place_y(quality)
        color = '#ea580c' if 'EOV' in name else '#2563eb'
        parts.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="6" fill="{color}"/>'
            f'<text x="{x:.0f}" y="{y + 20:.0f}" text-anchor="middle">{name}</text>'
        )
    return '\n'.join([*parts, '</svg>', ''])


def place_x(seconds: float) -> float:
    """Return the x of a time."""
    return LEFT + (WIDTH - 20 - LEFT) * seconds / MAX_SECONDS


def place_y(quality: float) -> float:
    """Return the y of a PQ."""
    share = (quality - MIN_PQ) / (MAX_PQ - MIN_PQ)
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


if __name__ == '__main__':
    (DOCS / 'images' / 'quality_and_time.svg').write_text(draw())
