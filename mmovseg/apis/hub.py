"""Models as folders and repositories of Hugging Face: weights, config, model card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from mmengine.config import Config
from mmengine.fileio import dump
from safetensors.torch import save_file
from torch import nn

from ..fileio import atomic_path, printable, write_atomic
from ..version import __version__
from ..vocabulary import Vocabulary
from .config import load_config
from .photo_pipeline import find_pipeline

CONFIG, WEIGHTS, CARD = 'config.yaml', 'model.safetensors', 'README.md'
# What inference needs of a config.
KEPT = ('default_scope', 'model', 'test_pipeline')
SHOWN_NAMES = 30  # in a model card

InferencerT = TypeVar('InferencerT', bound='HubMixin')


class HubMixin:
    """What an inferencer needs to be saved, shared and loaded again.

    A folder holds the config as data (YAML, never Python), the weights as safetensors,
    and a model card.
    """

    cfg: Config
    model: Any

    def save_pretrained(
        self, folder: str | Path, *, license: str = 'other', name: str | None = None
    ) -> Path:
        """Save the model, with the classes that it has now.

        Args:
            folder: Made if missing. A model in it is replaced, but not its card.
            license: Of the weights, as Hugging Face calls it, for the model card.
            name: Of the model, for the model card. None takes that of the folder.

        Returns:
            The folder.

        Raises:
            ValueError: If the config has values that are no data, or the vocabulary
                has examples.
            OSError: If a file cannot be written, or a config without a model is there.
        """
        folder = Path(folder)
        if (folder / CONFIG).exists() and not (folder / WEIGHTS).exists():
            raise FileExistsError(
                f'{printable(folder / CONFIG)} is there, and no {WEIGHTS}: it is of '
                'something else. Take another folder.'
            )
        config = _describe_config(self.cfg, self.model)
        card = make_card(self.model, name or folder.name, license)
        write_atomic(folder / CONFIG, config)
        with atomic_path(folder / WEIGHTS) as draft:
            state = self.model.state_dict()
            # Copies, as parts of one tensor cannot be saved.
            save_file({key: x.cpu().clone() for key, x in state.items()}, str(draft))
        if not (folder / CARD).exists():
            write_atomic(folder / CARD, card)
        return folder

    def push_to_hub(
        self,
        repo_id: str,
        *,
        license: str = 'other',
        private: bool | None = None,
        token: str | None = None,
        commit_message: str = 'Add a model of mmovseg',
    ) -> str:
        """Upload the model to Hugging Face; see :meth:`save_pretrained`.

        Args:
            repo_id: ``USER/NAME``; made if missing.
            license: Of the weights.
            private: Whether a new repository is private.
            token: Of the user; None takes that of ``hf auth login``.
            commit_message: Subject of the commit.

        Returns:
            Address of the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, license=license, name=repo_id)
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id, folder_path=folder, commit_message=commit_message
            )
        return str(commit.commit_url)

    @classmethod
    def from_pretrained(
        cls: type[InferencerT],
        source: str | Path,
        *,
        revision: str | None = None,
        token: str | None = None,
        **options: Any,
    ) -> InferencerT:
        """Load a model that :meth:`save_pretrained` or :meth:`push_to_hub` has saved.

        No code comes with a model: the config is data, and may import nothing.

        Args:
            source: A folder, or ``USER/NAME`` on Hugging Face, which is fetched once.
            revision: Branch, tag or commit; of Hugging Face only.
            token: The same.
            options: Of the inferencer.

        Raises:
            FileNotFoundError: If a file is missing, or nothing can be fetched.
            ValueError: If the config or the weights are wrong.
        """
        folder = _find_folder(source, revision, token)
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f'{printable(str(source))} has no {name}: it is no model that '
                    'save_pretrained has saved.'
                )
        cfg = Config.fromfile(folder / CONFIG, import_custom_modules=False)
        if 'custom_imports' in cfg:
            raise ValueError(
                f'{printable(folder / CONFIG)} imports modules (custom_imports); a '
                'shared config must be data alone.'
            )
        return cls(load_config(cfg), folder / WEIGHTS, **options)  # type: ignore[call-arg]


def _find_folder(source: str | Path, revision: str | None, token: str | None) -> Path:
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(
            snapshot_download(
                str(source),
                revision=revision,
                token=token,
                allow_patterns=[CONFIG, WEIGHTS, CARD],
            )
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FileNotFoundError(
            f'{printable(str(source))} is no folder, and cannot be fetched from '
            f'Hugging Face: {printable(reason)}'
        ) from error


def _describe_config(cfg: Config, model: Any) -> str:
    """Return the part of a config that inference needs, as YAML."""
    content = {key: value for key, value in cfg.to_dict().items() if key in KEPT}
    # Wherever the config has it.
    content['test_pipeline'] = Config(dict(x=find_pipeline(cfg))).to_dict()['x']
    for key in ('train_vocabulary', 'vocabulary'):
        name = 'test_vocabulary' if key == 'vocabulary' else key
        if getattr(model, key).examples:
            raise ValueError(
                'A model is saved with names, and its vocabulary has examples, too: '
                "save them with model.vocabulary.save('names.zip'), and set the names "
                'alone before the model is saved.'
            )
        content['model'][name] = list_classes(getattr(model, key))
    _check_data(content, 'config')
    return dump(content, file_format='yaml', sort_keys=False)


def _check_data(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            _check_data(part, f'{where}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _check_data(part, f'{where}[{index}]')
    elif not isinstance(value, (str, int, float, bool, type(None))):
        raise ValueError(
            f'{where} is a {type(value).__name__}: a config can be shared only if it '
            'is data. Give types by name.'
        )


def list_classes(vocabulary: Vocabulary) -> list[str]:
    """Return the classes as :meth:`Vocabulary.from_names` reads them."""
    return vocabulary.to_lines()


def make_card(model: nn.Module, name: str, license: str) -> str:
    """Write a model card, with what is known of the model and how it is used."""
    count = sum(x.numel() for x in model.parameters())
    trained: Any = model.train_vocabulary
    shown = ', '.join(trained.names[:SHOWN_NAMES])
    rest = len(trained) - SHOWN_NAMES
    shown += f', and {rest} more' if rest > 0 else ''
    return f"""---
library_name: mmovseg
pipeline_tag: image-segmentation
license: {license}
tags:
- open-vocabulary
- panoptic-segmentation
---

# {name}

A {type(model).__name__} of mmovseg {__version__}: it segments photos into classes that
are given by name. {count / 1e6:.1f} million parameters.

```python
from mmovseg.apis import OVSegInferencer

inferencer = OVSegInferencer.from_pretrained('{name}')
result = inferencer.segment('photo.jpg', 'cat; kitten, cup, stuff: table')
result.save('outputs')
```

Trained on {len(trained)} classes: {shown}.

Other names may be found less well. This card was generated; it does not state how well
the model was trained.
"""
