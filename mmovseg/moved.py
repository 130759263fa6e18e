"""Modules that have moved: their old names still work, with a warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    f'mmovseg.apis.{name}': f'mmovseg.analysis.{name}'
    for name in (
        'dataset_validation',
        'export_check',
        'leaderboard',
        'profiling',
        'result_drawing_hook',
        'roofline',
        'run_card',
        'run_card_hook',
        'vocabulary_report',
    )
} | {
    'mmovseg.models.functional': 'mmovseg.models.ops',
    'mmovseg.models.heads.lite_decoder': 'mmovseg.models.decoders.lite_decoder',
    **{
        f'mmovseg.models.heads.{name}': f'mmovseg.models.proposals.{name}'
        for name in ('mask_former_proposals', 'mmdet_proposals')
    },
    **{
        f'mmovseg.datasets.{name}': f'mmovseg.formats.{name}'
        for name in (
            'annotation_file',
            'findings',
            'image_file',
            'instance_format',
            'label_map_file',
            'panoptic_format',
        )
    },
    **{
        f'mmovseg.datasets.transforms{name}': f'mmovseg.transforms{name}'
        for name in (
            '',
            '.crop_class',
            '.keep_seen_classes',
            '.load_image_from_file',
            '.load_panoptic_annotations',
            '.load_semantic_annotations',
            '.seed_sample',
        )
    },
    'mmovseg.datasets.shapeworld': 'mmovseg.shapeworld.drawing',
    'mmovseg.datasets.shapeworld_textures': 'mmovseg.shapeworld.textures',
    'mmovseg.datasets.shapeworld_captions': 'projects.shapeworld.captions',
    'mmovseg.datasets.shapeworld_crops': 'projects.shapeworld.crops',
    'mmovseg.engine.muon': 'projects.shapeworld.muon',
    'mmovseg.apis.background_evaluator': 'mmovseg.evaluation.background_evaluator',
}


class _MovedFinder(MetaPathFinder):
    """Finds a moved module under its old name."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, _MovedLoader())


class _MovedLoader(Loader):
    """Loads the module itself, so that its classes are the same ones."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        message = f'{spec.name} has moved to {new}.'
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # which the import has changed


def install() -> None:
    """Let imports find moved modules; calling it again changes nothing."""
    if not any(isinstance(finder, _MovedFinder) for finder in sys.meta_path):
        # First: below a package that has moved, Python would find the files itself.
        sys.meta_path.insert(0, _MovedFinder())
