"""Render the tables of both papers beside our results: docs/leaderboard.md.

Without options it writes the page anew, from configs/*/{metafile,published}.yml and the
run cards below results/papers. With run cards of one's own in it:
--cards work_dirs --out my_page.md

--benchmark shapeworld trains and evaluates the methods of the drawn benchmark instead,
and writes their page; its options: --benchmark shapeworld --help
"""

import argparse
import sys
from pathlib import Path

from mmovseg.command_line import exit_on_error
from mmovseg.fileio import write_atomic

ROOT = Path(__file__).resolve().parents[1]


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--benchmark', choices=['shapeworld'], help='run this benchmark; see above'
    )
    parser.add_argument(
        '--cards',
        default=ROOT / 'results/papers',
        metavar='FOLDER',
        help='folder with run cards, *.json, of any depth [results/papers]',
    )
    parser.add_argument(
        '--out', default=ROOT / 'docs' / 'leaderboard.md', metavar='FILE.md'
    )
    parser.add_argument(
        '--all',
        action='store_true',
        help='show the columns "ours" that have no number, too',
    )
    parser.add_argument(
        '--check', action='store_true', help='write nothing; fail if FILE.md is old'
    )
    return parser.parse_args()


def run_shapeworld(arguments):
    """Run the benchmark, which is a project of the clone."""
    sys.path.insert(0, str(ROOT))
    try:
        from projects.shapeworld import leaderboard
    except ModuleNotFoundError as error:
        if error.name != 'projects':
            raise
        sys.exit('error: --benchmark shapeworld needs a clone of mmovseg.')
    leaderboard.main(arguments)


if __name__ == '__main__' and sys.argv[1:3] == ['--benchmark', 'shapeworld']:
    run_shapeworld(sys.argv[3:])
    sys.exit()
if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.analysis.leaderboard import Leaderboard, load_cards


def main():
    args = parse_args()
    out = Path(args.out)
    strict = Path(args.cards).resolve() == (ROOT / 'results/papers').resolve()
    with exit_on_error():
        cards = load_cards(args.cards, strict=strict)
        page = Leaderboard(ROOT / 'configs', cards, show_empty=args.all).render()
    if not args.check:
        write_atomic(out, page)
    elif not out.is_file() or out.read_text(encoding='utf-8') != page:
        sys.exit(f'error: {out} is not up to date; run tools/leaderboard.py.')


if __name__ == '__main__':
    main()
