"""Prompt templates: the sentences a class name is put into."""

from __future__ import annotations

from collections.abc import Sequence

TEMPLATES: dict[str, tuple[str, ...]] = {
    # The 14 of EOV-Seg (shared with FC-CLIP and OpenSeg). Four have no full stop.
    'vild': (
        'a photo of a {}.',
        'This is a photo of a {}',
        'There is a {} in the scene',
        'There is the {} in the scene',
        'a photo of a {} in the scene',
        'a photo of a small {}.',
        'a photo of a medium {}.',
        'a photo of a large {}.',
        'This is a photo of a small {}.',
        'This is a photo of a medium {}.',
        'This is a photo of a large {}.',
        'There is a small {} in the scene.',
        'There is a medium {} in the scene.',
        'There is a large {} in the scene.',
    ),
    'simple': ('a photo of a {}.',),
    'plain': ('{}',),
}


def get_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """Return prompt templates by name, or check your own.

    Args:
        templates: ``'vild'`` (14), ``'simple'``, ``'plain'``, or a list of strings
            that each contain ``{}`` once, where the class name goes.

    Raises:
        ValueError: If the name is unknown, the list is empty, or a template does not
            contain ``{}`` exactly once.

    Example:
        >>> get_templates('simple')
        ('a photo of a {}.',)
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f'Unknown templates {templates!r}; packaged are {sorted(TEMPLATES)}, '
                "a list of strings with '{}' for the name works too."
            )
        return TEMPLATES[templates]
    if not templates:
        raise ValueError('At least one prompt template is needed, got none.')
    for template in templates:
        if not isinstance(template, str) or template.count('{}') != 1:
            raise ValueError(f"A template must contain '{{}}' once, got {template!r}.")
    return tuple(templates)
