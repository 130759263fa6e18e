"""Make the label maps of VOC 2012 trainaug: those of VOC, else those of SBD.

Reads below ROOT (VOC2012):
    SegmentationClass/*.png and ImageSets/Segmentation/{train,val}.txt
and below --sbd (benchmark_RELEASE/dataset, the Semantic Boundaries Dataset):
    cls/*.mat and {train,val}.txt
Writes:
    SegmentationClassAug/*.png                   0 background, 1..20, 255 boundary
    ImageSets/Segmentation/trainaug.txt          10,582 names: all but VOC's val

Maps that exist and are not empty are left as they are.

Usage: python tools/dataset_converters/voc_aug.py data/VOC2012 --sbd SBD
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmovseg.command_line import exit_on_error, make_parser
from mmovseg.fileio import write_atomic


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, 'the folder VOC2012')
    parser.add_argument('--sbd', type=Path, required=True, help='folder with cls')
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.datasets.preparation import (
    check_counts,
    is_done,
    read_mat,
    run,
    write_image,
)
from mmovseg.formats.image_file import read_image

SETS = ('train', 'val')
NUM_IMAGES = 10582


def convert(task: tuple[Path, Path]) -> None:
    """Make one label map."""
    source, out = task
    if source.suffix == '.png':
        read_image(str(source), flag='unchanged', backend='pillow')  # may be cut off
        write_atomic(out, source.read_bytes())
    else:
        labels = read_mat(source, 'GTcls', (0, 0), 'Segmentation')
        if int(labels.max()) > 20:
            raise ValueError(f'{source} has class {labels.max()}, VOC has 20.')
        write_image(out, labels.astype('uint8'))


@exit_on_error()
def main(argv: list[str] | None = None) -> None:
    """Convert what trainaug needs."""
    args = parse_args(argv)
    lists = args.root / 'ImageSets' / 'Segmentation'
    voc = {split: (lists / f'{split}.txt').read_text().split() for split in SETS}
    names = set(voc['train'])
    for split in SETS:
        names |= set((args.sbd / f'{split}.txt').read_text().split())
    names -= set(voc['val'])
    tasks = []
    for name in sorted(names):
        source = args.root / 'SegmentationClass' / f'{name}.png'
        if not source.is_file():
            source = args.sbd / 'cls' / f'{name}.mat'
        if source.is_file():
            tasks.append((source, args.root / 'SegmentationClassAug' / f'{name}.png'))
    check_counts(
        {'trainaug': tasks},
        {'trainaug': NUM_IMAGES},
        f'label maps in {args.root / "SegmentationClass"} and {args.sbd / "cls"}',
        partial=args.partial,
    )
    listing = ''.join(f'{out.stem}\n' for _, out in tasks)
    write_atomic(lists / 'trainaug.txt', listing.encode())
    todo = [task for task in tasks if not is_done(task[1])]
    print(f'trainaug: {len(tasks) - len(todo)} done, {len(todo)} to do')
    run(convert, todo, args.workers)


if __name__ == '__main__':
    main()
