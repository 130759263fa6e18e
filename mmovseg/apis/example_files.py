"""Examples of classes on a command line: files and folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..fileio import printable
from ..formats.image_file import EXTENSIONS
from ..vocabulary import Vocabulary

MASK = '_mask'  # at the end of the name of a file, before the dot
FORM = (
    'write NAME=IMAGE,MASK such as snow=photo.jpg,mask.png, or a folder with '
    'NAME/PHOTO.jpg and NAME/PHOTO_mask.png'
)


def add_example_files(vocabulary: Vocabulary, words: Iterable[str]) -> Vocabulary:
    """Return a vocabulary with the examples of a command line.

    Args:
        vocabulary: The classes.
        words: ``NAME=IMAGE,MASK``, or folders that have a folder for each class, with
            photos and masks: ``snow/a.jpg`` and ``snow/a_mask.png``.

    Raises:
        ValueError: If a word is neither, a class or file does not exist, a photo has
            no mask or a mask no photo, or an example cannot be used.
    """
    for word in words:
        for name, image, mask in _read_word(word):
            try:
                vocabulary = vocabulary.add_examples(name, [(image, mask)])
            except ValueError as error:
                raise ValueError(f'--examples {printable(word)}: {error}') from error
    return vocabulary


def _read_word(word: str) -> Sequence[tuple[str, str, str]]:
    if os.path.isdir(word):
        return _read_folder(Path(word))
    name, equals, files = word.partition('=')
    image, comma, mask = files.rpartition(',')
    parts = [x.strip() for x in (name, image, mask)]
    if not (equals and comma and all(parts)):
        raise ValueError(f'--examples {printable(word)}: {FORM}.')
    return [(parts[0], parts[1], parts[2])]


def _read_folder(folder: Path) -> Sequence[tuple[str, str, str]]:
    found = []
    for group in sorted(x for x in folder.iterdir() if x.is_dir()):
        files = sorted(
            x
            for x in group.iterdir()
            if x.suffix.lower() in EXTENSIONS and not x.name.startswith('.')
        )
        masks = {x.stem: x for x in files if x.stem.endswith(MASK)}
        for path in files:
            if path.stem in masks:
                continue
            mask = masks.get(f'{path.stem}{MASK}')
            if mask is None:
                raise ValueError(
                    f'--examples {printable(folder)}: {printable(path)} has no mask '
                    f'{path.stem}{MASK}.png next to it.'
                )
            found.append((group.name, str(path), str(mask)))
        used = {mask for _, _, mask in found}
        for mask in masks.values():
            if str(mask) not in used:
                raise ValueError(
                    f'--examples {printable(folder)}: {printable(mask)} has no photo '
                    f'{mask.stem.removesuffix(MASK)}.jpg next to it.'
                )
    if not found:
        raise ValueError(f'--examples {printable(folder)} has no example: {FORM}.')
    return found
