"""Put a model together from the checkpoints of its training stages.

Usage:
    python tools/model_converters/assemble_stages.py CONFIG DST SRC [SRC ...]

For models without a stage of their own: SimBaseline and DeOP's baseline have the prompt
of stage 1 and the proposals of stage 2, a training-free model has its proposals alone.
What no file holds stays as the model is built: CLIP's towers from their pretrained
weights.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from mmovseg.command_line import exit_on_error
from mmovseg.fileio import check_writable, printable


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', help='file or packaged name')
    parser.add_argument('dst', type=Path, help='where to write the model (.pth)')
    parser.add_argument('src', nargs='+', help='checkpoints')
    parser.add_argument(
        '--allow-missing',
        nargs='+',
        default=[],
        metavar='PREFIX',
        help='starts of names that may stay random, besides pretrained CLIP towers',
    )
    return parser.parse_args()


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmengine.registry import init_default_scope

from mmovseg.apis import load_config
from mmovseg.apis.checkpoint import list_names
from mmovseg.apis.conversion import save
from mmovseg.apis.init_from import find_shared_weights
from mmovseg.registry import MODELS


def pretrained_parts(config: Mapping) -> list[str]:
    """Return the starts of names whose weights come from CLIP itself."""
    parts = []
    for name, part in config.items():
        if isinstance(part, Mapping) and part.get('pretrained') is not None:
            parts += [
                f'{name}.{tower}' for tower in ('visual.', 'clip.', 'logit_scale')
            ]
    return parts


def main() -> None:
    """Assemble one model and report where its weights come from."""
    args = parse_args()
    with exit_on_error():
        check_writable(args.dst, args.src)
        config = load_config(args.config)
        init_default_scope(config.get('default_scope', 'mmovseg'))
        model = MODELS.build(config.model)
        weights, report = find_shared_weights(model, args.src)
    print(report)
    known = (*pretrained_parts(config.model), *args.allow_missing)
    if getattr(model, 'needs_no_training', False):
        # Such a model finds void by its proposals, and never reads this row.
        known += ('text_classifier.void_embedding',)
    missing = [
        name
        for name in model.state_dict()
        if name not in weights and not name.startswith(known)
    ]
    if missing:
        lines = '\n'.join(list_names('random', missing))
        sys.exit(
            f'error: no file holds these weights of {args.config}; nothing was '
            f'written. Add the file of their stage, or --allow-missing.\n{lines}'
        )
    model.load_state_dict(weights, strict=False)
    meta = dict(config=Path(args.config).stem, source=[str(path) for path in args.src])
    save(args.dst, dict(state_dict=model.state_dict(), meta=meta))
    print(f'Wrote {printable(args.dst)}.')


if __name__ == '__main__':
    main()
