"""Draw the badges of README.md from the files that they speak of.

    python docs/drawings/badges.py

Writes docs/images/badge_{license,version,python,tests}.svg. `tests` counts files
of tests, in steps of 50; whether they pass is for .ci/run to say.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def read_facts() -> dict[str, str]:
    """Return what each badge says."""
    project = (ROOT / 'pyproject.toml').read_text()
    version = (ROOT / 'mmovseg' / 'version.py').read_text()
    tests = len(list((ROOT / 'tests').rglob('test_*.py')))
    pythons = re.findall(r'Python :: (3\.\d+)"', project)
    return {
        'license': re.findall(r'^license = "(.*)"', project, re.M)[0],
        'version': re.findall(r"'(\d.*)'", version)[0],
        'python': f'{pythons[0]} to {pythons[-1]}',
        'tests': f'{tests // 50 * 50}+ files',
    }


def draw(label: str, text: str) -> str:
    """Return the SVG of a badge."""
    left, right = 12 + 7 * len(label), 12 + 7 * len(text)
    width = left + right
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" '
        'font-family="Verdana, Arial, sans-serif" font-size="11" fill="#fff" '
        f'text-anchor="middle"><title>{label}: {text}</title>'
        f'<rect width="{width}" height="20" rx="3" fill="#2563eb"/>'
        f'<path d="M3 0H{left}V20H3a3 3 0 0 1 -3 -3V3a3 3 0 0 1 3 -3z" fill="#4b5563"/>'
        f'<text x="{left / 2:g}" y="14">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14">{text}</text></svg>\n'
    )


if __name__ == '__main__':
    for name, text in read_facts().items():
        (ROOT / 'docs' / 'images' / f'badge_{name}.svg').write_text(draw(name, text))
