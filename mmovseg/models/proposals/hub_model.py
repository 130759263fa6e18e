"""Networks of the library transformers, by hub name or folder."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

# Of ImageNet, in [0, 1]: what a network takes whose folder does not say.
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def import_transformers() -> Any:
    """Import transformers.

    Raises:
        ImportError: If it is not installed; the message says how.
    """
    try:
        return importlib.import_module('transformers')
    except ImportError as error:
        raise ImportError(
            "Proposals of transformers need that package: pip install 'mmovseg"
            "[transformers]'."
        ) from error


class HubModel(BaseModule):
    """A frozen network of transformers.

    Only files of safetensors are read, and no code that comes with them is run.

    Args:
        pretrained: Name on the hub of Hugging Face, fetched once by that library, or
            a folder. None builds random weights.
        architecture: What ``config.json`` says of such a network, for random weights.
        auto_class: Class of transformers that finds the network's own class.
        kinds: The ``model_type`` that are accepted.
        task: What these networks do, for messages.
        mean: Means of the images that come, per channel, 0 to 255; None means that
            they are normalized as the network wants it.
        std: Standard deviations of these images.
        init_cfg: MMEngine's initialization config.

    Attributes:
        network: The network.
        why_no_export: Why it cannot be part of an exported graph.

    Raises:
        ImportError: If transformers is not installed.
        OSError: If there is no such folder, or the hub cannot be reached or has no such
            network.
        ValueError: If it is a network of another kind, has no such file, or lacks
            weights.
    """

    network: Any
    why_no_export = (
        'networks of transformers take images of their own sizes, and decide in '
        'Python. Export a model with proposals of ours, such as MaskFormerProposals.'
    )

    def __init__(
        self,
        pretrained: str | None,
        architecture: Mapping[str, Any] | None,
        *,
        auto_class: str,
        kinds: Collection[str],
        task: str,
        mean: Any = None,
        std: Any = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        library = import_transformers()
        config = _read_config(library, pretrained, architecture)
        if config.model_type not in kinds:
            raise ValueError(
                f'{pretrained or "architecture"} is a network of the kind '
                f'{config.model_type!r}; {type(self).__name__} takes those of {task}: '
                f'{", ".join(sorted(kinds))}.'
            )
        self.kind = config.model_type
        build = getattr(library, auto_class)
        own_mean, own_std = IMAGENET
        if pretrained is None:
            self.network = build.from_config(config)
        else:
            self.network = _load(build, pretrained, config)
            own_mean, own_std = _read_statistics(library, pretrained)
        self.network.requires_grad_(False).eval()
        # (x std + mean - own mean) / own std, in one product and one sum.
        factor, offset = torch.ones(3), torch.zeros(3)
        black = -torch.tensor(own_mean) / torch.tensor(own_std)
        if mean is not None:
            own = 255 * torch.tensor(own_std)
            factor = torch.as_tensor(std).flatten().float() / own
            mean = torch.as_tensor(mean).flatten().float()
            offset = (mean - 255 * torch.tensor(own_mean)) / own
        for name, value in dict(factor=factor, offset=offset, black=black).items():
            self.register_buffer(f'_{name}', value.view(3, 1, 1), persistent=False)

    @staticmethod
    def check_installed() -> None:
        """Raise an ImportError if transformers is not installed."""
        import_transformers()

    def init_weights(self) -> None:
        """Leave the weights alone."""

    def train(self, mode: bool = True) -> HubModel:
        """Stay in eval mode, whatever ``mode`` is: the network is frozen."""
        return super().train(False)

    def normalize(self, images: Tensor) -> Tensor:
        """Normalize images as the network wants it."""
        return images * self._factor + self._offset


def _read_config(
    library: Any, pretrained: str | None, architecture: Mapping[str, Any] | None
) -> Any:
    if pretrained is None:
        if architecture is None:
            raise ValueError(
                'pretrained=None builds random weights: architecture has to say of '
                'which network.'
            )
        return library.AutoConfig.for_model(**_plain(architecture))
    _check_folder(pretrained)
    try:
        return library.AutoConfig.from_pretrained(pretrained, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _explain(pretrained, error) from error


def _plain(value: Any) -> Any:
    """Make plain containers of a config's own."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _check_folder(pretrained: str) -> None:
    path = Path(pretrained).expanduser()
    looks_like_path = path.is_absolute() or pretrained.startswith(('.', '~'))
    if path.is_dir():
        if not (path / 'config.json').is_file():
            raise ValueError(
                f'{pretrained} is no folder of a network: it has no config.json, which '
                'save_pretrained of transformers writes.'
            )
        if not any(path.glob('*.safetensors')):
            raise ValueError(
                f'{pretrained} has no weights as safetensors, and other files are not '
                'read, since they can run code. Save it with save_pretrained of a '
                'current transformers.'
            )
    elif looks_like_path or pretrained.count('/') > 1 or path.exists():
        raise FileNotFoundError(f'There is no folder {pretrained} of a network.')


def _load(build: Any, pretrained: str, config: Any) -> Any:
    try:
        network, found = build.from_pretrained(
            pretrained,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # a damaged file can raise anything
        raise _explain(pretrained, error) from error
    # Buffers of the loss are of no use here.
    missing = [name for name in found['missing_keys'] if 'criterion.' not in name]
    if missing:
        raise ValueError(
            f'{pretrained} lacks {len(missing)} weights of '
            f'{type(network).__name__}, such as {sorted(missing)[:3]}: it is of '
            'another task, or a part alone.'
        )
    return network


def _explain(pretrained: str, error: Exception) -> Exception:
    """Return a short error for one of transformers, which may be a page long."""
    reason = str(error).strip().split('\n')[0]
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    kinds = {name for cause in causes for name in _names_of(type(cause))}
    if Path(pretrained).is_dir():
        return ValueError(f'{pretrained} cannot be loaded: {reason}')
    if kinds & {'ConnectionError', 'OfflineModeIsEnabled', 'TransportError'}:
        return OSError(
            f'{pretrained} is not in the cache of Hugging Face, and the hub cannot be '
            f'reached: {reason} Try again with a network, or give a folder.'
        )
    return OSError(f'{pretrained} cannot be fetched from Hugging Face: {reason}')


def _names_of(kind: type) -> set[str]:
    return {base.__name__ for base in kind.__mro__}


def _read_statistics(library: Any, pretrained: str) -> tuple[Any, Any]:
    """Read with which statistics a network wants its images normalized."""
    mixin = library.image_processing_base.ImageProcessingMixin
    try:
        about, _ = mixin.get_image_processor_dict(pretrained)
    except OSError:  # no such file
        return IMAGENET
    return (
        about.get('image_mean') or IMAGENET[0],
        about.get('image_std') or IMAGENET[1],
    )
