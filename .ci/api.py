"""Check that the site documents every public name, and count runnable examples.

    python .ci/api.py docs/_build/html

Public are the names in `__all__` of the packages of mmovseg.
"""

import importlib
import pkgutil
import sys
import zlib
from pathlib import Path

import mmovseg

MIN_EXAMPLES = 25


def public_names():
    """Yield package, name and object of everything in an `__all__` of a package."""
    packages = [mmovseg.__name__]
    packages += [
        module.name
        for module in pkgutil.walk_packages(mmovseg.__path__, 'mmovseg.')
        if module.ispkg
    ]
    for package in packages:
        module = importlib.import_module(package)
        for name in getattr(module, '__all__', ()):
            if not name.startswith('__'):
                yield package, name, getattr(module, name)


def documented(site):
    """Return the last part of every Python name in the index of the site."""
    data = (site / 'objects.inv').read_bytes()
    text = zlib.decompress(data.split(b'\n', 4)[4]).decode()
    return {
        line.split(' ')[0].rpartition('.')[2]
        for line in text.splitlines()
        if ' py:' in line
    }


def has_example(thing):
    """Return whether the docstring of a thing, or of its methods, has an example."""
    parts = [thing, *(vars(thing).values() if isinstance(thing, type) else ())]
    return any('>>>' in (getattr(part, '__doc__', None) or '') for part in parts)


def main():
    names = list(public_names())
    shown = documented(Path(sys.argv[1]))
    missing = [
        f'{package}.{name}: ' + ('no docstring' if name in shown else 'not on the site')
        for package, name, thing in names
        if name not in shown or not getattr(thing, '__doc__', None)
    ]
    things = {id(thing): thing for _, _, thing in names}
    examples = sum(map(has_example, things.values()))
    print(f'{len(things)} public names, {examples} of them with a runnable example.')
    if examples < MIN_EXAMPLES:
        missing.append(f'only {examples} examples; {MIN_EXAMPLES} are expected')
    if missing:
        sys.exit('error: ' + '\n'.join(missing))


if __name__ == '__main__':
    main()
