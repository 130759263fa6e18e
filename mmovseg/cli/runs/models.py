"""Choose a model, and list all."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from ...command_line import exit_on_error, print_json, print_table
from ...fileio import did_you_mean, printable

if TYPE_CHECKING:
    from ...apis import OVSegInferencer

HEAD = ('model', 'here', 'method', 'parameters', 'PQ on ADE20K', 'license', 'config')


def run(args: argparse.Namespace) -> int:
    """List; return the exit status."""
    from ...apis import zoo

    with exit_on_error():
        models = list(zoo.list_models())
        if args.name is not None:
            found = [x for x in models if x.name == args.name]
            if not found:
                names = [x.name for x in models]
                hint = did_you_mean(args.name, names)
                raise ValueError(
                    f'There is no model {args.name!r}.{hint} Models: '
                    f'{", ".join(names)}.'
                )
            models = found
    if args.json:
        print_json([dict(x._asdict(), here=x.is_here, origin=x.origin) for x in models])
    elif args.name is not None:
        for key, value in {**models[0]._asdict(), 'here': models[0].is_here}.items():
            if value not in (None, (), {}):
                print(f'{key}: {printable(str(value))}')
    else:
        print_table([HEAD, *map(_describe, models)])
    return 0


def _describe(model: Any) -> tuple[str, ...]:
    count, quality = model.parameters, model.published.get('ADE20K PQ')
    return (
        model.name,
        'yes' if model.is_here else 'no',
        model.method,
        '' if count is None else f'{count / 1e6:.0f} M',
        '' if quality is None else f'{quality}',
        model.license,
        model.config,
    )


def load_model(args: argparse.Namespace, **options: Any) -> OVSegInferencer:
    """Build the model of a command line; without a name the best that is here.

    Args:
        args: With the options of :func:`~mmovseg.cli.options.add_model_options`.
        options: More options of :class:`OVSegInferencer`.
    """
    from ...apis import OVSegInferencer

    args.model = args.model or choose_model()
    inferencer = OVSegInferencer(
        args.model,
        args.checkpoint,
        device=args.device,
        fast=False if args.fast is None else args.fast or True,
        trust_checkpoint=args.trust_checkpoint,
        keep_names=getattr(args, 'keep_names', None),
        **options,
    )
    words = getattr(args, 'examples', None)
    if words:
        from ...apis.example_files import add_example_files

        vocabulary = inferencer.model.vocabulary
        inferencer.set_vocabulary(add_example_files(vocabulary, words))
    return inferencer


def choose_model() -> str:
    """Return the best model that is on this machine, and say which that is."""
    from ...apis import zoo

    best = zoo.find_best()
    print(f'The model is {best.name}, the best one on this machine.', file=sys.stderr)
    better = [x.name for x in zoo.list_models() if _rank(x) > _rank(best)]
    if better:
        print(
            f'Better ones have to be fetched, such as --model {better[0]}; '
            'mmovseg models lists all.',
            file=sys.stderr,
        )
    return best.name


def _rank(model: Any) -> float:
    return model.published.get('ADE20K PQ', 0)
