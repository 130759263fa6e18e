"""Names and shapes of all weights of a model, compared with what is recorded.

Checkpoints of users hold these names: a config that builds other ones no longer loads
them. ``state_names/hashes.json`` has a hash for every model that differs and the
configs that had it, ``state_names/TYPE.txt`` all names of one config of each type, to
tell what has changed. A renamed config needs nothing new. For a config with a new model
run ``PYTHONPATH=. python tests/state_names.py``: it only adds.
"""

import hashlib
import json
from difflib import unified_diff
from pathlib import Path

FOLDER = Path(__file__).with_suffix('')
HASHES = FOLDER / 'hashes.json'


def describe(model):
    """Return a line per entry of the state dict, sorted: its name and shape."""
    return sorted(
        f'{name} {"x".join(map(str, value.shape))}'.rstrip()
        for name, value in model.state_dict().items()
    )


def digest(model):
    return hashlib.sha256('\n'.join(describe(model)).encode()).hexdigest()[:16]


def load():
    return json.loads(HASHES.read_text())


def check(model, config):
    """Fail if the model of a config has other names or shapes than are recorded."""
    recorded = load()
    known = [key for key, configs in recorded.items() if config in configs]
    if digest(model) in (known or recorded):
        return
    full = FOLDER / f'{type(model).__name__}.txt'
    of, *before = full.read_text().splitlines() if full.is_file() else ['nothing']
    changes = [
        line
        for line in unified_diff(before, describe(model), n=0, lineterm='')
        if not line.startswith(('---', '+++', '@@'))
    ]
    shown = '\n'.join(changes[:30])
    raise AssertionError(
        f'The weights of {config} have other names or shapes than are recorded, so '
        f'checkpoints no longer load. Compared with {of}, {len(changes)} lines '
        f'differ:\n{shown}\nIf the config is new, see tests/state_names.py.'
    )


def main():
    """Add the models that are not recorded yet; never change what is."""
    from mmengine.config import Config
    from test_configs import distinct, leaves, made_small, needs_ops

    from mmovseg.registry import MODELS

    recorded = load() if HASHES.is_file() else {}
    for path in distinct(leaves(FOLDER.parents[1])):
        if needs_ops(path):
            continue
        model = MODELS.build(made_small(Config.fromfile(path).model))
        configs = recorded.setdefault(digest(model), [])
        if not any(path.stem in others for others in recorded.values()):
            configs.append(path.stem)
        full = FOLDER / f'{type(model).__name__}.txt'
        if not full.is_file():
            full.write_text('\n'.join([path.stem, *describe(model)]) + '\n')
    FOLDER.mkdir(exist_ok=True)
    HASHES.write_text(json.dumps(recorded, indent=1) + '\n')


if __name__ == '__main__':
    main()
