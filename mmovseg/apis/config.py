"""Find configs by name, and find mistakes in them before anything is built."""

from __future__ import annotations

import argparse
import copy
import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.utils import import_modules_from_strings

from ..fileio import closest, did_you_mean
from ..models import moved_parts
from ..models.clip import SHAPEWORLD, resolve_model_name
from ..registry import MODELS
from ..vocabulary import Vocabulary
from . import yaml_handler  # noqa: F401 (a config of YAML is data)

# What MMEngine's runner and our tools read from the top level of a config.
RUNNER_KEYS = {
    *('model', 'work_dir', 'train_dataloader', 'val_dataloader', 'test_dataloader'),
    *('train_cfg', 'val_cfg', 'test_cfg', 'auto_scale_lr', 'optim_wrapper'),
    *('param_scheduler', 'val_evaluator', 'test_evaluator', 'default_hooks'),
    *('custom_hooks', 'data_preprocessor', 'load_from', 'resume', 'launcher'),
    *('env_cfg', 'log_processor', 'log_level', 'visualizer', 'default_scope'),
    *('randomness', 'experiment_name', 'test_pipeline', 'custom_imports'),
}

# Read by other tools of OpenMMLab, or variables that resemble the runner's keys.
OTHER_KEYS = {
    *(
        'tta_pipeline',
        'tta_model',
        'train_pipeline',
        'val_pipeline',
        'model_wrapper_cfg',
    ),
    *('runner_type', 'sync_bn', 'find_unused_parameters', 'optimizer'),
}
# Starts of names that earlier versions gave to configs, and today's.
RENAMED = {
    'deop-baseline+cal_': 'deop-baseline-plus-cal_',
    'deop-baseline+ps_': 'deop-baseline-plus-ps_',
    'deop-baseline+_': 'deop-baseline-plus_',
    'deop-gps-0-100_': 'deop-gps-a0-a100_',
    'deop-gps-0-50_': 'deop-gps-a0-a50_',
    'deop-gps-50-100_': 'deop-gps-a50-a100_',
    'deop-gps-50-50_': 'deop-gps-a50-a50_',
}
FORMATS = ('.py', '.json', '.yaml', '.yml')


def config_folders() -> list[Path]:
    """Return where packaged configs are: a checkout, or an installed wheel."""
    package = Path(__file__).parents[1]
    folders = (package.parent / 'configs', package / '.mim' / 'configs')
    return [folder for folder in folders if (folder / '_base_').is_dir()]


def load_config(
    config: str | Path | Config | Mapping[str, Any],
    cfg_options: Mapping[str, Any] | Sequence[str] | None = None,
) -> Config:
    """Load a config and check its model.

    Args:
        config: A path, the name of a packaged config (``'eovseg_r50_coco'``), or a
            loaded one, which is copied.
        cfg_options: Values to change, by dotted name (``'model.fusion.iou_thr'``), or
            as words (``['model.fusion.iou_thr=0.7']``).

    Returns:
        The config.

    Raises:
        FileNotFoundError: If there is neither such a file nor such a packaged config.
        ValueError: If the file is no config, or a key is misspelt; the message names
            it.

    Example:
        >>> cfg = load_config('eovseg_tiny_shapeworld', {'model.fusion.iou_thr': 0.7})
        >>> cfg.model.type, cfg.model.fusion.iou_thr
        ('EOVSeg', 0.7)
    """
    if isinstance(config, (str, Path)):
        cfg = read_config(config)
    elif isinstance(config, Config):
        cfg = copy.deepcopy(config)
    elif isinstance(config, Mapping):
        cfg = Config(copy.deepcopy(dict(config)))
    else:
        raise TypeError(f'A config is a path, name or dict, got {type(config)}.')
    if cfg_options:
        if not isinstance(cfg_options, Mapping):
            cfg_options = parse_options(cfg_options)
        try:
            cfg.merge_from_dict(dict(cfg_options))
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f'The options {dict(cfg_options)} do not fit the config: {error}'
            ) from error
        if cfg.get('custom_imports'):  # the options may have added some
            import_modules_from_strings(**cfg.custom_imports)
    check_config(cfg)
    return cfg


def parse_options(options: Sequence[str]) -> dict[str, Any]:
    """Parse the words after ``--cfg-options`` as MMEngine's tools do.

    Args:
        options: Words such as ``'model.fusion.iou_thr=0.7'``.

    Raises:
        ValueError: If one is no pair of key and value.
    """
    for option in options:
        if not option.partition('=')[0] or '=' not in option:
            raise ValueError(f'--cfg-options {option!r}: expected KEY=VALUE.')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(['--cfg-options', *options]).cfg_options if options else {}


def read_config(config: str | Path) -> Config:
    """Read a config, which may import projects of this clone from any folder.

    Args:
        config: A path, or the name of a packaged config.

    Raises:
        FileNotFoundError: If there is neither such a file nor such a packaged config.
        ValueError: If the file is no config.
    """
    root = Path(__file__).parents[2]
    if (root / 'projects').is_dir() and str(root) not in sys.path:
        sys.path.append(str(root))
    path = find_config(str(config))
    if path.suffix not in FORMATS:
        raise ValueError(f'{path} is no config: its name must end with {FORMATS}.')
    try:
        return Config.fromfile(path)
    except (ValueError, SyntaxError, UnicodeError, AttributeError, RecursionError) as e:
        raise ValueError(f'{path} is no config: {type(e).__name__}: {e}') from e


def check_config(cfg: Mapping[str, Any]) -> None:
    """Look for misspelt keys at the top level and anywhere in the model.

    A variable at the top level may have any name, so one that resembles a key of
    MMEngine's runner only gets a warning.

    Args:
        cfg: A loaded config.

    Raises:
        ValueError: If there is no model, a key is unknown to the class it goes to, or a
            type is not registered.
    """
    name = getattr(cfg, 'filename', None) or 'the config'
    problems: list[str] = []
    for key in sorted(set(cfg) - RUNNER_KEYS - OTHER_KEYS):
        if close := closest(key, RUNNER_KEYS, cutoff=0.8):
            warnings.warn(
                f'Nothing reads {key!r} of {name}. Did you mean {close!r}? Variables '
                'of your own can have another name.',
                stacklevel=3,
            )
    if 'model' in cfg:
        scope = cfg.get('default_scope', 'mmovseg')
        if scope == 'mmovseg':  # names without a package are another one's else
            problems += _check_component(cfg['model'], 'model')
        problems += _check_scope(cfg['model'], scope)
    else:
        close = closest('model', cfg)
        hint = f'; is {close!r} meant to be it?' if close else ''
        problems.append(f"there is no 'model'{hint}")
    problems += _check_seen_classes(cfg)
    if problems:
        raise ValueError('\n  '.join([f'Mistakes in {name}:', *problems]))


def _check_scope(model: Any, scope: str) -> Iterator[str]:
    """Look for parts of ours that another package's scope would not find."""
    if scope == 'mmovseg':
        return
    for place, part in _walk(model, 'model'):
        kind = part.get('type')
        if (
            isinstance(kind, str)
            and kind in MODELS.module_dict
            and part.get('_scope_', scope) == scope
            and MODELS.get(f'{scope}.{kind}') is None
        ):
            yield (
                f'{place}.type: {kind!r} is a part of mmovseg, but the default_scope '
                f"is {scope!r}: write 'mmovseg.{kind}', or _scope_='mmovseg' beside it"
            )


def _check_seen_classes(cfg: Mapping[str, Any]) -> Iterator[str]:
    """Compare the classes that training data are renumbered to with the model's."""
    loader, model = cfg.get('train_dataloader'), cfg.get('model') or {}
    wanted = model.get('train_vocabulary')
    if not loader or wanted is None:
        return
    for place, part in _walk(loader, 'train_dataloader'):
        if _type_of(part) != 'KeepSeenClasses':
            continue
        seen = part['seen']
        if Vocabulary.load(seen).names != Vocabulary.load(wanted).names:
            yield (
                f'{place}.seen: labels are numbered as in {seen!r}, but '
                f'model.train_vocabulary is {wanted!r}: make both the same'
            )


def _type_of(part: Mapping[str, Any]) -> str:
    kind = part.get('type', '')
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def without_downloads(
    model: Mapping[str, Any], keep: Callable[[str], bool] = lambda path: False
) -> ConfigDict:
    """Copy a model config whose CLIPs start from random weights.

    A checkpoint holds the weights of every CLIP, so none has to be fetched. The tag
    of pretrained weights also chooses the activation, which the name then carries.
    Packaged weights stay: see :func:`packaged_towers`.

    Args:
        model: Model config.
        keep: Says by dotted name which components stay as they are.

    Returns:
        The copy.
    """
    model = copy.deepcopy(ConfigDict(model))
    for path, part in _walk(model, ''):
        if {'model_name', 'pretrained'} <= set(part) and not keep(path):
            tag = part['pretrained']
            if tag == SHAPEWORLD:
                continue
            part['model_name'] = resolve_model_name(part['model_name'], tag)
            part['pretrained'] = None
        elif {'architecture', 'pretrained'} <= set(part) and not keep(path):
            part['pretrained'] = None  # of transformers
    return model


def packaged_towers(model: Mapping[str, Any]) -> tuple[str, ...]:
    """List the frozen weights of a model that are packaged.

    These are always at hand, so a checkpoint may lack them.

    Args:
        model: Model config.

    Returns:
        Prefixes of names, for ``allow_missing`` of :func:`load_state_dict`.
    """
    return tuple(
        # The text classifier has weights of its own beside the tower.
        f'{path}.clip.' if _type_of(part) == 'TextClassifier' else f'{path}.'
        for path, part in _walk(model, '')
        if part.get('pretrained') == SHAPEWORLD
    )


def find_config(name: str) -> Path:
    """Return the file of a config, given by its path or its packaged name.

    Raises:
        FileNotFoundError: If there is none.
    """
    if Path(name).is_file():
        return Path(name)
    folders = config_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    folders += sorted((Path(__file__).parents[2] / 'projects').glob('*/configs'))
    known = {
        path.stem: path
        for folder in reversed(folders)
        for path in sorted(folder.rglob('*.py'))
        if '_base_' not in path.parts
    }
    if name in known:
        return known[name]
    stem = Path(name).stem
    for old, new in RENAMED.items():
        if stem.startswith(old):
            now = stem.replace(old, new, 1)
            raise FileNotFoundError(f'Config {name!r} is called {now!r} today.')
    if folders:
        from .zoo import find_model

        model = find_model(name)
        if model is not None:
            raise FileNotFoundError(
                f'{name!r} is a model with its own weights, not a config. Its config, '
                f'for other weights, is {model.config!r}.'
            )
    hint = did_you_mean(stem, known, cutoff=0.5)
    if not hint and known:
        hint = f' {folders[0]} has all of them; `mmovseg models` lists models.'
    raise FileNotFoundError(f'Config {name!r} is neither a file nor packaged.{hint}')


def _walk(value: Any, path: str) -> Iterator[tuple[str, dict]]:
    """Yield every dict below a value with its dotted name, outer ones first."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        yield path, value
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    for key, item in items:
        yield from _walk(item, f'{path}.{key}' if path else str(key))


def _check_component(config: Any, path: str) -> Iterator[str]:
    """Compare the keys of every typed dict with its class, before it is built."""
    foreign = ' '  # below a class of another package its own rules hold
    for place, part in _walk(config, path):
        kind = part.get('type')
        if kind is None or f'{place}.'.startswith(foreign):
            continue
        if isinstance(kind, str) and '.' in kind and not kind.startswith('mmovseg.'):
            foreign = f'{place}.'
            continue
        if place.endswith('norm_cfg'):
            continue  # its reader takes more than the norm itself, and checks it
        if moved_parts.has_moved(kind):
            yield f'{place}.type: {moved_parts.explain_type(kind)}'
            continue
        accepted = _accepted_keys(kind)
        if accepted is None:
            close = closest(str(kind), MODELS.module_dict)
            if close:
                yield f'{place}.type: {kind!r} is unknown; did you mean {close!r}?'
            continue
        read_outside = {'type', '_scope_'}
        if place.split('.')[-2:-1] == ['severance']:
            read_outside.add('block')  # says where the layer goes
        for key in part:
            if key in accepted or key in read_outside:
                continue
            close = closest(key, accepted)
            hint = f'did you mean {close!r}?' if close else f'known: {accepted}'
            hint = moved_parts.explain_argument(_type_of(part), key) or hint
            yield f'{place}.{key}: {kind} has no such argument; {hint}'


def _accepted_keys(kind: Any) -> Collection[str] | None:
    """Return the names a registered class takes, or None if it is unknown."""
    if isinstance(kind, str):
        kind = MODELS.get(kind)
        if kind is None:
            return None
    if not inspect.isclass(kind):
        parameters = inspect.signature(kind).parameters.values()
        open_ended = any(x.kind is x.VAR_KEYWORD for x in parameters)
        return _Anything() if open_ended else [x.name for x in parameters]
    names: list[str] = []
    for base in kind.__mro__:
        if '__init__' not in vars(base):
            continue
        _, *own = inspect.signature(vars(base)['__init__']).parameters.values()
        names += [x.name for x in own if x.kind is not x.VAR_KEYWORD]
        if not any(x.kind is x.VAR_KEYWORD for x in own):
            return names
        # Ours give what they do not know to their base.
        if not base.__module__.startswith('mmovseg.'):
            break
    return _Anything()


class _Anything(list):
    def __contains__(self, key: object) -> bool:
        return True
