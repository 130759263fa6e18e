"""Read YAML as data."""

from __future__ import annotations

from typing import Any

import yaml
from mmengine.fileio import register_handler
from mmengine.fileio.handlers import YamlHandler


class DataOnly(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """Knows maps, lists, text, numbers, dates, and tuples as MMEngine writes them."""


DataOnly.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
)


# MMEngine's reader obeys tags such as !!python/object/apply, which call functions.
@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """Refuse tags that stand for objects of Python.

    From the import of this module on MMEngine reads every YAML file so.
    """

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Read a file of plain data.

        Raises:
            ValueError: If the file is no YAML, or holds a tag.
        """
        try:
            return yaml.load(file, Loader=DataOnly)
        except yaml.constructor.ConstructorError as error:
            raise ValueError(
                f'A YAML file must be plain data: {error.problem}'
                f'{error.problem_mark or ""}. Where Python is needed, write the config '
                'as a Python file.'
            ) from None
        except yaml.YAMLError as error:
            raise ValueError(f'This is no YAML: {error}') from error
