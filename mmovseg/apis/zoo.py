"""Models with weights that exist somewhere, by name."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from ..checkpoints.download import DownloadError, accept, fetch, is_url, lock
from ..fileio import cache_folder, did_you_mean
from .config import config_folders

if TYPE_CHECKING:
    from .inferencer import OVSegInferencer

# Google Drive shows a page before a large file.
_DRIVE = re.compile(r'https://drive\.google\.com/file/d/([\w-]+)')
TIMEOUT = 60.0  # seconds without a byte, and of gdown's connection


class ZooModel(NamedTuple):
    """What a ``metafile.yml`` says of a model with weights.

    Attributes:
        name: Short name, for :func:`load`.
        config: Name of its packaged config.
        method: Its collection.
        license: Of the weights; the parts' own, where it has several.
        parameters: Number of them, None if nobody has counted.
        weights: File of the package, or a URL of a file that needs no conversion.
        source: Link of the authors' file, which needs conversion.
        converter: Tool for that, a path in the repository.
        sha256: Of the file behind a link, if its authors publish one.
        hubs: Repositories on Hugging Face that its parts are fetched from.
        published: Numbers of its authors by column of their tables.
    """

    name: str
    config: str
    method: str
    license: str
    parameters: int | None
    weights: str | None
    source: str | None
    converter: str | None
    sha256: str | None
    hubs: tuple[str, ...]
    published: Mapping[str, float]

    @property
    def file(self) -> Path | None:
        """The checkpoint, which may not exist yet; None if the model needs none."""
        if self.weights is not None and not is_url(self.weights):
            return Path(__file__).parents[2] / self.weights
        if self.weights is None and self.source is None:
            return None
        return _models_folder() / f'{self.name}.pth'

    @property
    def is_here(self) -> bool:
        """Whether the model can be used without a download."""
        if self.file is not None:
            return self.file.is_file()
        return all(map(_is_cached, self.hubs))

    @property
    def origin(self) -> str:
        """Where the weights come from: package, hub, link or page.

        A link is fetched by :func:`load`. So is a file behind a page if gdown is
        installed.
        """
        if self.weights is not None:
            return 'link' if is_url(self.weights) else 'package'
        return 'hub' if self.source is None else 'page'


@cache
def list_models() -> tuple[ZooModel, ...]:
    """List the models with weights, in the order of the metafiles.

    Raises:
        FileNotFoundError: If the metafiles are not in this installation.
    """
    folders = config_folders()
    if not folders:
        raise FileNotFoundError(
            'The configs of mmovseg are not in this installation, and the list of '
            'models with weights is there: install it again.'
        )
    paths = sorted(folders[0].glob('*/metafile.yml'))
    return tuple(model for path in paths for model in _list_models(path))


def read_metafile(path: Path) -> dict[str, Any]:
    """Read a metafile, and the paper's tables from ``published.yml`` beside it.

    Returns:
        Keys of the metafile, and ``Tables``: empty without such a file.
    """
    loader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # a tenth of the time
    content: dict[str, Any] = {'Tables': []}
    for file in (path, path.with_name('published.yml')):
        if file.is_file():
            content |= yaml.load(file.read_text(encoding='utf-8'), loader)
    return content


def _list_models(path: Path) -> Iterator[ZooModel]:
    content = read_metafile(path)
    for entry in content['Models']:
        about = entry.get('Metadata', {})
        if 'Alias' not in about:
            continue
        yield ZooModel(
            name=about['Alias'],
            config=Path(entry['Config']).stem,
            method=entry['In Collection'],
            license=about['License'],
            parameters=about.get('Parameters'),
            weights=entry.get('Weights'),
            source=entry.get('Converted From', {}).get('Weights'),
            converter=about.get('Converter'),
            sha256=about.get('SHA-256'),
            hubs=tuple(about.get('Hugging Face', ())),
            published=_read_published(content, entry['Name']),
        )


def _read_published(content: Mapping[str, Any], name: str) -> dict[str, float]:
    """Find the numbers of the rows of a model, but for those with other options."""
    found: dict[str, float] = {}
    for table in content['Tables']:
        for row in table['Rows']:
            configs = row.get('Config') or ()
            names = configs.values() if isinstance(configs, Mapping) else [configs]
            if name not in names or 'Options' in row:
                continue
            for column, number in zip(table['Columns'], row['Paper'], strict=True):
                if number is not None:
                    found[column['Name']] = number
    return found


def find_model(name: str) -> ZooModel | None:
    """Return the model of a name; None if it is no name of the zoo."""
    return {model.name: model for model in list_models()}.get(name)


def find_best() -> ZooModel:
    """Return the best model that can be used without a download.

    That is the one with the highest published PQ on ADE20K, else the first one made of
    parts of others, else the packaged ``tiny``, which knows drawings only.
    """

    def rank(model: ZooModel) -> tuple[float, bool, bool]:
        quality = model.published.get('ADE20K PQ', 0)
        return quality, model.origin == 'hub', model.name == 'tiny'

    here = [model for model in list_models() if model.is_here]
    return max(here, key=rank)


def load(name: str | None = None, **options: Any) -> OVSegInferencer:
    """Load a model by name, with its weights.

    Args:
        name: One of :func:`list_models`, such as ``'fcclip-convnext-l'``, or of the
            config of one of them. None takes the best that is on this machine; see
            :func:`find_best`.
        options: See :class:`OVSegInferencer`.

    Raises:
        FileNotFoundError: If there is no such model, or its weights have to be fetched
            by hand first; the message says how.
        DownloadError: If the weights cannot be fetched; it is an OSError.

    Example:
        >>> import mmovseg
        >>> segment = mmovseg.load('fcclip-convnext-l')  # doctest: +SKIP
        >>> segment('photo.jpg', vocabulary='cat, cup')  # doctest: +SKIP
    """
    from .inferencer import OVSegInferencer

    if name is None:
        return OVSegInferencer(find_best().name, **options)
    model = find_model(name)
    if model is None:
        by_config = [x for x in list_models() if x.config == name]
        names = [x.name for x in list_models()]
        if not by_config:
            hint = did_you_mean(name, names) or f' There are {", ".join(names)}.'
            raise FileNotFoundError(
                f'There are no weights of a model {name!r}.{hint} Weights of your own '
                'go with a config: OVSegInferencer(CONFIG, WEIGHTS).'
            )
        model = by_config[0]
    return OVSegInferencer(model.name, **options)


def hint_at_weights(cfg: Mapping[str, Any]) -> str:
    """Say under which name there are weights of a config; nothing if there are none."""
    stem = Path(getattr(cfg, 'filename', None) or '').stem
    names = [model.name for model in list_models() if model.config == stem]
    return f'There are weights of it: OVSegInferencer({names[0]!r}).' if names else ''


def get_weights(model: ZooModel, *, may_fetch: bool = True) -> Path | None:
    """Return the checkpoint of a model, which is fetched and converted if need be.

    Args:
        model: From :func:`list_models`.
        may_fetch: Whether it may be fetched. A file that was fetched by hand is
            converted all the same.

    Returns:
        A file; None if the model needs none.

    Raises:
        FileNotFoundError: If it is not here and cannot be, or may not be, fetched; the
            message says what to do.
        DownloadError: If fetching fails.
        ValueError: If the fetched file is not that of the model.
    """
    path = model.file
    if path is None or path.is_file():
        return path
    if model.origin == 'package':
        raise FileNotFoundError(
            f'The weights of {model.name!r} are not in this installation ({path} is '
            'missing): install mmovseg again.'
        )
    if model.origin == 'link':
        if not may_fetch:
            raise FileNotFoundError(f'{model.name}: {path} is not here yet.')
        return fetch(str(model.weights), path, sha256=model.sha256)
    official = _official(model)
    if not official.is_file():
        if not may_fetch:
            raise FileNotFoundError(explain(model))
        _fetch_page(model, official)
    _convert(model, official, path)
    return path


def explain(model: ZooModel) -> str:
    """Say how to get the weights of a model whose file is behind a page."""
    official = _official(model)
    lines = [
        f'The weights of {model.name} are not on this machine yet.',
        f'  1. Fetch {model.source} with a browser',
        f'     (license: {model.license}) and save it as',
        f'     {official}',
        f'  2. Convert it: {shlex.join(_command(model, official))}',
        "Or pip install 'mmovseg[download]' (gdown): then the next call does both.",
    ]
    return '\n'.join(lines)


def _official(model: ZooModel) -> Path:
    return _models_folder() / f'{model.name}.official.pth'


def _command(model: ZooModel, official: Path) -> list[str]:
    tool = _find_tool(str(model.converter))
    target = str(model.file)
    return ['python', tool, str(official), target, '--config', model.config]


def _find_tool(name: str) -> str:
    """Return the path of a tool of this clone or of the installed package."""
    root = config_folders()[0].parent
    return str(root / name)


def _models_folder() -> Path:
    folder = cache_folder('models')
    if folder is None:
        raise FileNotFoundError(
            'There is no home folder for fetched models. Set MMOVSEG_CACHE to a folder '
            'that can be written.'
        )
    return folder


def _fetch_page(model: ZooModel, official: Path) -> None:
    """Fetch a file from Google Drive with gdown, if that is installed."""
    try:
        import gdown
    except ImportError:
        raise FileNotFoundError(explain(model)) from None
    official.parent.mkdir(parents=True, exist_ok=True)
    found = _DRIVE.match(str(model.source))
    if found is None:
        raise FileNotFoundError(explain(model))
    part = official.with_name(f'{official.name}.part')
    with lock(official):
        if official.is_file():
            return
        print(f'Fetching {model.source} (license: {model.license}).', file=sys.stderr)
        try:
            gdown.download(
                id=found[1],
                output=str(part),
                quiet=not sys.stderr.isatty(),
                resume=True,
                timeout=TIMEOUT,
                retries=3,
            )
        except Exception as error:  # of gdown, requests and what they use
            raise DownloadError(
                f'{model.source} cannot be fetched with gdown ({error}).\n'
                f'{explain(model)}'
            ) from error
        accept(part, official, str(model.source), model.sha256)


def _convert(model: ZooModel, official: Path, path: Path) -> None:
    command = [sys.executable, *_command(model, official)[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not path.is_file():
        report = (done.stderr or done.stdout).strip()
        raise ValueError(
            f'{official} cannot be converted into {model.name}:\n{report}\n'
            f'If it is another file than {model.source}, delete it.'
        )


def _is_cached(hub: str) -> bool:
    """Whether a repository of weights is in the cache of Hugging Face."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE, f'models--{hub.replace("/", "--")}')
    kinds = ('safetensors', 'bin', 'pt')
    return any(any(folder.glob(f'snapshots/*/*.{kind}')) for kind in kinds)
