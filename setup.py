"""Put configs, tools and demo into the package, where MIM looks for them.

Everything else about the package stands in pyproject.toml.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_FOLDERS = ('configs', 'tools', 'demo')
MIM_FILES = ('model-index.yml',)  # which hub.get_config reads


class BuildWithMim(build_py):
    """Copy the folders into the wheel, or link them for an editable install."""

    def run(self):
        super().run()
        if self.editable_mode:
            target = ROOT / 'mmovseg' / '.mim'
        else:
            target = Path(self.build_lib).resolve() / 'mmovseg' / '.mim'
            # A folder left from an earlier build may hold deleted files.
            shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True, exist_ok=True)
        for name in (*MIM_FOLDERS, *MIM_FILES):
            place = target / name
            if self.editable_mode:
                if place.is_symlink():
                    place.unlink()
                source = Path(os.path.relpath(ROOT / name, target))
                place.symlink_to(source, target_is_directory=(ROOT / name).is_dir())
            elif name in MIM_FILES:
                shutil.copy(ROOT / name, place)
            else:
                shutil.copytree(
                    ROOT / name, place, ignore=shutil.ignore_patterns('__pycache__')
                )

    def get_outputs(self, include_bytecode=True):
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        mim = Path(self.build_lib, 'mmovseg', '.mim')
        return outputs + [str(path) for path in mim.rglob('*') if path.is_file()]


setup(cmdclass={'build_py': BuildWithMim})
