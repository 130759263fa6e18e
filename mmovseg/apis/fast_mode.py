"""Faster inference that changes the results a little, switched on part by part."""

from __future__ import annotations

import getpass
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..command_line import FAST_PARTS
from ..models.segmentors import OVSegmentor
from ..models.structures import MaskPrediction, TextEmbeddings

PARTS = FAST_PARTS
BUCKET = 128
MAX_PROGRAMS = 256  # compiled for one model; more sizes than that are a mistake
_COMPILER = threading.RLock()
RUNS = 3  # A CUDA graph is warmed up, recorded, replayed.


class FastMode(NamedTuple):
    """What of the fast mode a model has.

    Attributes:
        dtype: Half precision of the network, under autocast; None is float32.
        one_step_resize: Masks are resized once; see ``MaskFusion``.
        compile: The way from images to class and mask logits is one compiled program.
        graphs: Which is recorded as a CUDA graph for each size and batch size.
        bucket: Height and width are padded to multiples of this, None where that is
            not changed. Each size then has a separate program (on a CPU always).
    """

    dtype: torch.dtype | None = None
    one_step_resize: bool = False
    compile: bool = False
    graphs: bool = False
    bucket: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts as :func:`read_parts` reads them."""
        half = {torch.bfloat16: 'bf16', torch.float16: 'fp16'}
        parts = [half[self.dtype]] if self.dtype else []
        parts += ['resize'] * self.one_step_resize + ['compile'] * self.compile
        parts += ['graphs'] * self.graphs
        return (*parts, *([f'buckets={self.bucket}'] if self.bucket else []))


def default_parts(kind: str) -> tuple[str, ...]:
    """Return what suits a kind of device, such as ``'cuda'``."""
    if kind == 'cuda':
        return ('bf16', 'resize', 'compile')
    # The compiled core leaves out what makes the CPU fast, see docs/performance.md.
    # Older versions of PyTorch do not tell, and have slower kernels.
    tell: Any = getattr(torch.cpu, 'get_capabilities', dict)
    if kind == 'cpu' and tell().get('amx_bf16'):
        return ('bf16', 'resize')
    return ('resize',)


def read_parts(
    parts: bool | Sequence[str], device: str | torch.device = 'cpu'
) -> FastMode:
    """Read what to switch on.

    Args:
        parts: Names of :data:`PARTS`, where ``'buckets=256'`` has another step than
            128; True takes those of :func:`default_parts`; False none.
        device: Where the model is.

    Raises:
        TypeError: If ``parts`` is one string, or neither a list nor a bool.
        ValueError: If a part is unknown, or cannot be had together with the others or
            on this device.
    """
    kind = torch.device(device).type
    if isinstance(parts, bool):
        parts = default_parts(kind) if parts else ()
    if isinstance(parts, str) or not isinstance(parts, Sequence):
        raise TypeError(
            f'fast takes True, False or a list of parts such as {PARTS[:1]}, got '
            f'{parts!r}.'
        )
    names, bucket = set(), None
    for part in parts:
        name, equals, number = str(part).partition('=')
        if name not in PARTS or (equals and name != 'buckets'):
            raise ValueError(
                f'Unknown part of the fast mode {part!r}; there are {PARTS}, and '
                "'buckets=256' for another step."
            )
        if name == 'buckets':
            bucket = _read_bucket(number) if equals else BUCKET
        names.add(name)
    if {'bf16', 'fp16'} <= names:
        raise ValueError("Take one of the fast mode's 'bf16' and 'fp16', got both.")
    if 'graphs' in names and kind != 'cuda':
        raise ValueError(
            f"CUDA graphs need a GPU, and the model is on {kind!r}: leave 'graphs' out."
        )
    if 'graphs' in names and 'compile' not in names:
        raise ValueError("'graphs' records the compiled program: add 'compile'.")
    half = dict(bf16=torch.bfloat16, fp16=torch.float16)
    return FastMode(
        dtype=next((half[name] for name in names & set(half)), None),
        one_step_resize='resize' in names,
        compile='compile' in names,
        graphs='graphs' in names,
        bucket=bucket,
    )


def _read_bucket(number: str) -> int:
    step = int(number) if number.isdecimal() else 0
    if step < 1 or step % 32:
        raise ValueError(
            f'The step of the buckets must be a multiple of 32, got {number!r}: for '
            f"example 'buckets={BUCKET}'."
        )
    return step


def make_fast(model: BaseModel, parts: bool | Sequence[str] = True) -> FastMode:
    """Switch a built model to the fast mode, in place and for good.

    Call it when the model is in eval mode, has its weights and is on its device.
    Inference then goes through another ``model.execution``. Training is not changed,
    but ``buckets`` pads its images too.

    Args:
        model: A segmentor.
        parts: See :func:`read_parts`.

    Returns:
        What is on; also ``model.fast_mode``.

    Raises:
        TypeError: If the model is no segmentor; see also :func:`read_parts`.
        ValueError: If the model is in training mode or fast already, or it has no core
            to compile or no padding to change; see also :func:`read_parts`.
    """
    kind = type(model).__name__
    if not isinstance(model, OVSegmentor):
        raise TypeError(f'The fast mode is for segmentors of mmovseg, got {kind}.')
    if model.training or model.execution is not None:
        state = 'in training mode' if model.training else 'in fast mode already'
        raise ValueError(f'{kind} is {state}: take a model as init_model() builds it.')
    if model.plain:
        raise ValueError(
            f'{kind} is in plain form, the opposite of the fast mode: leave one of '
            'both out.'
        )
    device = next(model.parameters()).device
    mode = read_parts(parts, device)
    if mode.compile and type(model).segment_batch is not OVSegmentor.segment_batch:
        raise ValueError(
            f"{kind} cuts crops by its masks, which no graph can do: leave 'compile' "
            "out, as in fast=('bf16', 'resize')."
        )
    if mode.compile and model.presence_filter is not None:
        raise ValueError(
            'A presence filter reads another number of names for each image, which a '
            "compiled program cannot: leave 'compile' out, or set "
            'presence_filter=None.'
        )
    if mode.bucket is not None:
        preprocessor = model.data_preprocessor
        if not hasattr(preprocessor, 'pad_size_divisor'):
            raise ValueError(
                f'{type(preprocessor).__name__} pads to no multiple, so there can be '
                "no buckets: leave 'buckets' out, or take ImgDataPreprocessor."
            )
        # All there is to buckets: predict() treats images of one padded size together.
        preprocessor.pad_size_divisor = mode.bucket
    model.fusion.one_step_resize = mode.one_step_resize
    if mode.compile:
        _name_user()
    model.execution = FastExecution(mode, _serves_all_sizes(mode, device.type))
    return mode


def _name_user() -> None:
    """Give the user a name where there is none, as in a container with any user id.

    PyTorch's compiler puts it into the name of its cache, and cannot be imported
    without it.
    """
    try:
        getpass.getuser()
    except (OSError, KeyError):
        os.environ['USER'] = f'user{os.getuid()}'


def _serves_all_sizes(mode: FastMode, kind: str) -> bool:
    """Whether one program is compiled for all sizes, not one for each.

    On a CPU PyTorch takes more than ten minutes for such a program, in which it
    simplifies the places of values, and a minute for one of a size.
    """
    return mode.bucket is None and kind != 'cpu'


class FastExecution:
    """Run the network of a segmentor in the fast mode.

    It is what :func:`make_fast` puts in :attr:`OVSegmentor.execution`. A copy, also one
    in another process, compiles its own program.

    Args:
        mode: What is on.
        dynamic: Compile one program for all sizes, not one for each.

    Attributes:
        mode: What is on.
        compiled_runs: Runs of each batch that may have a separate program.
    """

    def __init__(self, mode: FastMode, dynamic: bool) -> None:
        self.mode, self.dynamic = mode, dynamic
        self.compiled_runs: Counter = Counter()
        self._thread = threading.get_ident()
        self._core: Any = None
        self._recorded: Any = None
        if mode.compile:
            self._core = _compile_core(dynamic, None)
        if mode.graphs:
            self._recorded = _compile_core(dynamic, 'reduce-overhead')

    def __reduce__(self) -> tuple:
        return FastExecution, (self.mode, self.dynamic)

    @torch.no_grad()
    def __call__(
        self,
        model: OVSegmentor,
        inputs: Tensor,
        text: TextEmbeddings,
        data_samples: list | None,
    ) -> MaskPrediction:
        """See :meth:`OVSegmentor.segment_batch`."""
        with self._half(inputs.device.type):
            if self._core is None:
                return model.segment_batch(inputs, text, data_samples)
            return self._run_compiled(model, inputs, text)

    def _half(self, kind: str) -> AbstractContextManager[Any]:
        if self.mode.dtype is None:
            return nullcontext()
        return torch.autocast(kind, self.mode.dtype)

    def _run_compiled(
        self, model: OVSegmentor, inputs: Tensor, text: TextEmbeddings
    ) -> MaskPrediction:
        # PyTorch replays a recording only in the thread that made it.
        recorded = self._thread == threading.get_ident() and self._recorded
        # What may have a program, or a recording, of its own.
        every = not self.dynamic or self.mode.graphs
        # One at a time: the settings are those of the whole process.
        with _COMPILER, _compiler_settings():
            self.compiled_runs[tuple(inputs.shape) if every else len(inputs)] += 1
            outputs = (recorded or self._core)(model, inputs, text)
            if recorded:  # which writes the next results to the same place
                outputs = [x if x is None else x.clone() for x in outputs]
        return MaskPrediction(*outputs)


def _compile_core(dynamic: bool, mode: str | None) -> Callable[..., Any]:
    return torch.compile(_run_core, fullgraph=True, dynamic=dynamic, mode=mode)


def count_first_runs(model: BaseModel) -> int:
    """Return how many runs of a model may have compiled or recorded something.

    Those are the first ones of every batch that may have a separate program: of a
    size and number of images, or of a number alone where a program serves all sizes.
    """
    execution = getattr(model, 'execution', None)
    if not isinstance(execution, FastExecution):
        return 0
    first = RUNS if execution.mode.graphs else 1
    return sum(min(count, first) for count in execution.compiled_runs.values())


@contextmanager
def _compiler_settings() -> Iterator[None]:
    """Let there be many programs, and one serve all sizes.

    Lengths that are equal in the first batch are otherwise taken to be equal in all: a
    batch of three, as many as there are colors, or square images, would have a
    program of their own.
    """
    # Private, and not in every torch: asked for by those who compile only.
    from torch.fx.experimental import _config

    shape_config: Any = _config

    limit = torch._dynamo.config.patch(recompile_limit=MAX_PROGRAMS)
    with limit, shape_config.patch(use_duck_shape=False):
        yield


def _run_core(
    model: OVSegmentor, inputs: Tensor, text: TextEmbeddings
) -> tuple[Tensor | None, ...]:
    """Compute what is compiled: from a preprocessed batch to a prediction."""
    return tuple(model.segment(inputs, text)[-1])


@torch.no_grad()
def warm_up(
    model: BaseModel,
    sizes: Sequence[tuple[int, int]],
    batch_sizes: Sequence[int] = (1,),
) -> None:
    """Compile and record what images of some sizes need, before they come.

    Args:
        model: In eval mode, fast or not.
        sizes: Height and width of images after the pipeline's resize, before padding.
        batch_sizes: Images per step.

    Raises:
        ValueError: If a size or a batch size is not positive.
    """
    for size in sizes:
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f'A size is height and width in pixels, got {size}.')
    if min(batch_sizes, default=1) < 1:
        raise ValueError(f'batch_sizes must be at least 1, got {batch_sizes}.')
    # The buffer of a graph grows with the largest: record that one first.
    for batch in sorted(set(batch_sizes), reverse=True):
        for size in sorted(set(sizes), key=lambda x: -x[0] * x[1]):
            for _ in range(RUNS):
                meta = dict(img_shape=size, ori_shape=size)
                images = [torch.zeros(3, *size, dtype=torch.uint8)] * batch
                samples = [BaseDataElement(metainfo=meta) for _ in images]
                model.test_step(dict(inputs=images, data_samples=samples))
