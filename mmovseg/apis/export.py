"""A segmentor as one graph, for torch.export and ONNX."""

from __future__ import annotations

import copy
import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ..fileio import write_atomic
from ..models.structures import TextEmbeddings
from ..vocabulary import Vocabulary
from .photo_pipeline import find_pipeline

FORMAT = 2  # of the metadata; demo/onnx_demo.py reads it
METADATA = 'mmovseg'  # its key in an ONNX file; the name of the file in a .pt2
INPUTS = ('images', 'text', 'class_ids', 'seen')
OUTPUTS = ('scores', 'mask_logits')
DIVISOR = 32
OPSET = 20  # DeformConv came with 19


class TextInputs(NamedTuple):
    """A vocabulary as inputs of a graph.

    Attributes:
        text: Unit rows of the names, without void, ``[V, D]``.
        class_ids: Class of each row, int64, ``[V]``.
        seen: True where the class was in the training vocabulary, ``[K]``.
    """

    text: Tensor
    class_ids: Tensor
    seen: Tensor


class SegmentorGraph(nn.Module):
    """From photos to scores and masks, in tensors alone.

    Args:
        model: A segmentor that names what it finds, in eval mode.
        vocabulary: Baked in; None makes :class:`TextInputs` inputs of the graph.

    Raises:
        ValueError: If the model names nothing or is in training mode.
    """

    mean: Tensor
    std: Tensor
    void: Tensor
    text: Tensor | None
    class_ids: Tensor | None
    seen: Tensor | None
    known: Tensor | None

    def __init__(self, model: BaseModel, vocabulary: TextInputs | None) -> None:
        super().__init__()
        if getattr(model, 'text_classifier', None) is None or model.training:
            raise ValueError(
                f'{type(model).__name__} is in training mode or names no segments: '
                'export the whole model, as init_model() builds it.'
            )
        self.model = model
        preprocessor = model.data_preprocessor
        mean = getattr(preprocessor, 'mean', torch.zeros(3, 1, 1))
        std = getattr(preprocessor, 'std', torch.ones(3, 1, 1))
        self.register_buffer('mean', mean.clone())
        self.register_buffer('std', std.clone())
        void = model.text_classifier.void_embedding.weight.detach()
        self.register_buffer('void', F.normalize(void, dim=-1))
        for name, value in zip(INPUTS[1:], vocabulary or (None,) * 3, strict=True):
            self.register_buffer(name, value)
        # Of proposals that know classes, which stay the same.
        known = model.encode_vocabulary(model.vocabulary).known
        self.register_buffer('known', known)

    def forward(
        self,
        images: Tensor,
        text: Tensor | None = None,
        class_ids: Tensor | None = None,
        seen: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Segment images.

        Args:
            images: RGB from 0 to 255, float32, ``[B, 3, H, W]``, B at least 1; H and W
                multiples of 32 and at least 64. Padding has the mean color of the
                normalization.
            text: See :class:`TextInputs`; None where the vocabulary is baked in.
            class_ids: Likewise.
            seen: Likewise.

        Returns:
            Class probabilities ``[B, N, K + 1]``, void last, and mask logits ``[B, N,
            H / 4, W / 4]``.
        """
        if text is None:
            text, class_ids, seen = self.text, self.class_ids, self.seen
        if text is None or class_ids is None or seen is None:
            raise ValueError('This graph has no vocabulary: give text and its ids.')
        num_classes = seen.shape[0]
        last = class_ids.new_full((1,), num_classes)
        embeddings = TextEmbeddings(
            torch.cat([text, self.void]),
            torch.cat([class_ids, last]),
            num_classes,
            seen,
            self.known,
        )
        inputs = (images - self.mean) / self.std
        class_logits, mask_logits, *_ = self.model.segment(inputs, embeddings)[-1]
        return class_logits.float().softmax(-1), mask_logits


@torch.no_grad()
def embed_vocabulary(model: BaseModel, vocabulary: Vocabulary) -> TextInputs:
    """Encode the names of a vocabulary for a graph of the model.

    Raises:
        ValueError: If it has examples, which a graph cannot read.
    """
    if vocabulary.examples:
        raise ValueError(
            'A graph reads names and no examples: export with a vocabulary of names '
            'alone.'
        )
    classifier = model.text_classifier
    device = classifier.void_embedding.weight.device
    seen = vocabulary.seen_in(model.train_vocabulary)
    return TextInputs(
        classifier.encode(vocabulary).clone(),
        torch.tensor(vocabulary.class_ids, device=device),
        torch.tensor(seen, device=device),
    )


def export_program(model: BaseModel, *, text_input: bool = False) -> ExportedProgram:
    """Trace a model, for batches, heights, widths and vocabularies of any size.

    Args:
        model: A segmentor in eval mode.
        text_input: Make the vocabulary an input, else bake in that of the model.

    Returns:
        The program of a :class:`SegmentorGraph`.

    Raises:
        ValueError: See :class:`SegmentorGraph`; or if the model cannot be traced, or
            has a presence filter.
    """
    if getattr(model, 'presence_filter', None) is not None:
        raise ValueError(
            'A graph reads all names of its vocabulary and cannot leave any out: '
            'export the model without presence_filter.'
        )
    for name, part in model.named_modules():
        if reason := getattr(part, 'why_no_export', None):
            raise ValueError(
                f'{name} ({type(part).__name__}) cannot be exported: {reason}'
            )
    text = embed_vocabulary(model, model.vocabulary)
    model = copy.deepcopy(model)
    model.drop_text_tower()  # a program keeps even unused weights
    graph = SegmentorGraph(model, None if text_input else text)
    # Neither equal nor 1: such lengths would be taken for constants.
    images = torch.zeros(2, 3, 3 * DIVISOR, 2 * DIVISOR, device=graph.mean.device)
    lengths = {2: DIVISOR * Dim('rows', min=2), 3: DIVISOR * Dim('columns', min=2)}
    arguments: tuple[Tensor, ...] = (images,)
    shapes: list[dict[int, Any]] = [{0: Dim('batch', min=1), **lengths}]
    if text_input:
        arguments += _example_text(text)
        names = Dim('names', min=2)
        shapes += [{0: names}, {0: names}, {0: Dim('classes', min=2)}]
    with torch.no_grad():
        return torch.export.export(graph, arguments, dynamic_shapes=tuple(shapes))


def _example_text(text: TextInputs) -> TextInputs:
    """Return 5 rows of 3 classes, lengths that nothing else in the graph has."""
    rows = torch.ones(5, text.text.shape[1], device=text.text.device)
    class_ids = torch.tensor([0, 0, 1, 2, 2], device=rows.device)
    return TextInputs(rows, class_ids, class_ids[:3] > 0)


def describe(model: BaseModel, *, text_input: bool) -> dict[str, Any]:
    """Return what a program needs to know besides the graph, as plain values.

    Args:
        model: A segmentor with its config in ``cfg``.
        text_input: As in :func:`export_program`; the names are in the text file then.

    Raises:
        ValueError: If the test pipeline resizes in an unknown way.
    """
    fusion, preprocessor = model.fusion, model.data_preprocessor
    mean = getattr(preprocessor, 'mean', torch.zeros(3))
    described = dict(
        format=FORMAT,
        model=type(model).__name__,
        text_model=model.text_classifier.model_name,
        text_fingerprint=fingerprint_text(model),
        text_input=text_input,
        divisor=DIVISOR,
        scale=_find_scale(model.cfg),
        padding=mean.flatten().tolist(),
        object_mask_thr=fusion.object_mask_thr,
        iou_thr=fusion.iou_thr,
        resize_probabilities=fusion.resize_probabilities,
        one_step_resize=fusion.one_step_resize,
    )
    if not text_input:
        described['names'] = list(model.vocabulary.names)
        described['is_thing'] = list(model.vocabulary.is_thing)
    return described


def fingerprint_text(model: BaseModel) -> str:
    """Return a hash of all that :class:`TextInputs` depend on besides the vocabulary.

    That is the text tower with its weights, the templates or the learned prompt, and
    the training vocabulary. A graph takes no text of another fingerprint.
    """
    content = [model.text_classifier.fingerprint, model.train_vocabulary.fingerprint]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _find_scale(cfg: Any) -> list[int]:
    """Return the largest long and short side that images are resized to."""
    for transform in find_pipeline(cfg):
        kind = str(transform['type']).split('.')[-1]
        if kind == 'Resize' and transform.get('keep_ratio'):
            return sorted(transform['scale'], reverse=True)
        if kind == 'ResizeShortestEdge' and isinstance(transform['scale'], int):
            return [transform['max_size'], transform['scale']]
    raise ValueError(
        'The test pipeline of the config resizes neither by Resize with '
        'keep_ratio=True nor by ResizeShortestEdge with one number: pass '
        'cfg_options that give it such a test_pipeline.'
    )


def save_program(
    program: ExportedProgram, path: str | Path, metadata: dict[str, Any]
) -> None:
    """Write a program for :func:`torch.export.load`, which needs torchvision imported.

    Args:
        program: From :func:`export_program`.
        path: Ends with ``.pt2``.
        metadata: From :func:`describe`; ``extra_files`` holds it as ``mmovseg.json``.
    """
    buffer = io.BytesIO()
    extra = {f'{METADATA}.json': json.dumps(metadata)}
    torch.export.save(program, buffer, extra_files=extra)
    write_atomic(path, buffer.getvalue())


def save_onnx(
    program: ExportedProgram, path: str | Path, metadata: dict[str, Any]
) -> None:
    """Write a program as one ONNX file.

    Args:
        program: From :func:`export_program`.
        path: Ends with ``.onnx``.
        metadata: From :func:`describe`; a JSON string under ``mmovseg`` in the file.

    Raises:
        ImportError: If ``onnx`` or ``onnxscript`` is missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError as error:
        raise ImportError(
            f"ONNX files need another package: pip install 'mmovseg[export]' ({error})."
        ) from error
    inputs = INPUTS if metadata['text_input'] else INPUTS[:1]
    converted = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(inputs),
        output_names=list(OUTPUTS),
        verbose=False,
    )
    assert converted is not None  # it is None where a path is given
    proto = converted.model_proto
    _refuse_empty_batches(proto)
    onnx.helper.set_model_props(proto, {METADATA: json.dumps(metadata)})
    write_atomic(path, proto.SerializeToString())


def _refuse_empty_batches(proto: Any) -> None:
    """Let ONNX Runtime report a batch of no image; without this the process dies.

    A step in front of the graph takes the image size from the first image.
    """
    import onnx

    helper, name = onnx.helper, INPUTS[0]
    for node in proto.graph.node:
        node.input[:] = [f'{name}_checked' if x == name else x for x in node.input]
    zero = helper.make_tensor('first_index', onnx.TensorProto.INT64, [1], [0])
    proto.graph.initializer.append(zero)
    steps = [
        helper.make_node(
            'Gather',
            [name, zero.name],
            ['first_image'],
            name='a_batch_needs_at_least_one_image',
            axis=0,
        ),
        helper.make_node('Shape', ['first_image'], ['first_image_shape'], start=1),
        helper.make_node('Shape', [name], ['batch_shape'], end=1),
        helper.make_node(
            'Concat', ['batch_shape', 'first_image_shape'], ['checked_shape'], axis=0
        ),
        helper.make_node('Reshape', [name, 'checked_shape'], [f'{name}_checked']),
    ]
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(steps + nodes)


def save_text(model: BaseModel, vocabulary: Vocabulary, path: str | Path) -> None:
    """Write a vocabulary for graphs that have it as input.

    Arrays: those of :class:`TextInputs`, ``names`` and ``is_thing`` of the classes, and
    ``text_model`` and ``text_fingerprint``, the CLIP and the weights it belongs to.

    Args:
        model: The model of the graph.
        vocabulary: The classes.
        path: Ends with ``.npz``.
    """
    text = embed_vocabulary(model, vocabulary)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        **{name: value.cpu().numpy() for name, value in text._asdict().items()},
        names=np.array(vocabulary.names),
        is_thing=np.array(vocabulary.is_thing),
        text_model=np.array(model.text_classifier.model_name),
        text_fingerprint=np.array(fingerprint_text(model)),
    )
    write_atomic(path, buffer.getvalue())
