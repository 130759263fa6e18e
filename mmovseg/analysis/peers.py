"""The systems that benchmark_peers.py times: how each is built and called.

All have random weights, nothing is downloaded. What depends on the vocabulary only is
given, as after the first image: random unit vectors stand for text embeddings.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..registry import MODELS
from ..vocabulary import Vocabulary
from .profiling import build_model, draw_masks, random_text, run_model


class MissingPackageError(Exception):
    """A system cannot be built here; the message says what it needs."""


class System(NamedTuple):
    """A system ready to run.

    Attributes:
        model: Holds all parameters; in eval mode, without a text tower.
        run: Turns normalized images ``[B, 3, H, W]`` into the system's results.
        task: ``'panoptic'`` or ``'semantic'``, the kind of the results.
        backbone: The part of the model that images pass first, so that its time can be
            told apart; None where no module is that.
    """

    model: nn.Module
    run: Callable[[Tensor], Any]
    task: str
    backbone: nn.Module | None


class Peer(NamedTuple):
    """How to build a system.

    Attributes:
        build: Takes the vocabulary, the number of drawn masks and the device.
        baseline: Name of the EOV-Seg with a comparable backbone; None for ours.
    """

    build: Callable[[Vocabulary, int, str], System]
    baseline: str | None = None


def make_vocabulary(num_classes: int) -> Vocabulary:
    """Make classes of one name each, two thirds of them things as in ADE20K-150."""
    names = tuple((f'class {index}',) for index in range(num_classes))
    things = round(num_classes * 2 / 3)
    return Vocabulary(names, tuple(index < things for index in range(num_classes)))


def build_system(
    name: str, vocabulary: Vocabulary, valid_masks: int, device: str
) -> System:
    """Build a system of :data:`PEERS`, or a model of ours by its config.

    Args:
        name: A key of :data:`PEERS`, or as :func:`build_model` takes it.
        vocabulary: The classes.
        valid_masks: Proposal networks of ours return so many drawn masks.
        device: Where the system goes.

    Raises:
        MissingPackageError: If a package or a folder is missing.
    """
    peer = PEERS.get(name) or Peer(partial(_build_ours, name))
    try:
        system = peer.build(vocabulary, valid_masks, device)
    except ModuleNotFoundError as error:
        raise MissingPackageError(f'needs {error.name}') from error
    system.model.requires_grad_(False)
    return system


def _build_ours(
    config: str, vocabulary: Vocabulary, valid_masks: int, device: str
) -> System:
    model = build_model(config, vocabulary=vocabulary, device=device)
    backbone = getattr(model, 'backbone', None)
    if hasattr(model, 'proposals'):
        draw_masks(model, valid_masks)
        backbone = None  # it comes after the proposals
    panoptic = model.fusion.panoptic
    model.fusion.instance, model.fusion.semantic = False, not panoptic
    text = random_text(model)
    if model.text_classifier is not None:
        model.text_classifier.drop_text_tower()
    run = partial(run_model, model, text=text)
    task = 'panoptic' if panoptic else 'semantic'
    return System(model, run, task, backbone)


def _build_mmdet(name: str, vocabulary: Vocabulary, _: int, device: str) -> System:
    _import_ops()
    cfg = _read_config('mmdet', name)
    things = sum(vocabulary.is_thing)
    counts = dict(num_things_classes=things, num_stuff_classes=len(vocabulary) - things)
    cfg.backbone.init_cfg = None
    for head in (cfg.panoptic_head, cfg.panoptic_fusion_head):
        head.update(counts)
    cfg.panoptic_head.loss_cls.class_weight = [1.0] * len(vocabulary) + [0.1]
    # Random scores are small: with the usual 0.8 there would be nothing to fuse.
    cfg.test_cfg.update(
        panoptic_on=True, instance_on=False, semantic_on=False, object_mask_thr=0.0
    )
    model = _build_foreign(cfg, 'mmdet').to(device)

    def run(inputs: Tensor) -> list:
        size = tuple(inputs.shape[-2:])
        shapes = dict(img_shape=size, ori_shape=size, batch_input_shape=size)
        samples = [BaseDataElement(metainfo=shapes) for _ in inputs]
        return model.predict(inputs, samples)

    return System(model, run, 'panoptic', model.backbone)


def _build_san(name: str, vocabulary: Vocabulary, _: int, device: str) -> System:
    cfg = _read_config('mmseg', name)
    cfg.pretrained = None
    cfg.decode_head.num_classes = len(vocabulary)
    cfg.decode_head.train_cfg = None
    cfg.decode_head.loss_decode[0].class_weight = [1.0] * len(vocabulary) + [0.1]
    head: Any = importlib.import_module('mmseg.models.decode_heads.san_head')
    if head.point_sample is None:  # mmcv has no ops, which its losses alone need
        head.point_sample = _refuse_to_train
    data_set = 'ade20k'  # any that mmseg knows: the key of the cached embeddings
    cfg.text_encoder.dataset_name = data_set
    model = _build_foreign(cfg, 'mmseg').to(device)
    encoder = model.text_encoder
    text = torch.randn(len(vocabulary), encoder.text_projection.shape[1], device=device)
    encoder.cache[data_set] = F.normalize(text, dim=-1)
    # Not used again, and no parameters of what runs. (The rest of it stays.)
    encoder.transformer, encoder.token_embedding = nn.ModuleList(), None
    return System(model, model.predict, 'semantic', model.image_encoder)


def _refuse_to_train(*_: Any) -> None:
    raise MissingPackageError('losses of SAN need mmcv with compiled ops')


def _build_foreign(cfg: ConfigDict, scope: str) -> Any:
    """Build a model of another package, in eval mode, from finite random weights."""
    init_default_scope(scope)
    model = MODELS.build(ConfigDict(cfg, _scope_=scope)).eval()
    for parameter in model.parameters():
        # Some wait for a checkpoint and hold what was in memory.
        if not bool(parameter.isfinite().all()):
            nn.init.normal_(parameter.data, std=0.02)
    return model


def _build_transformers(
    name: str, vocabulary: Vocabulary, _: int, device: str
) -> System:
    library = importlib.import_module('transformers')
    stages = ['stage1', 'stage2', 'stage3', 'stage4']
    swin = library.SwinConfig(depths=[2, 2, 6, 2], out_features=stages)  # Swin-T
    config = getattr(library, f'{name}Config')(
        backbone_config=swin, num_labels=len(vocabulary)
    )
    model = getattr(library, f'{name}ForUniversalSegmentation')(config)
    model = model.eval().to(device)
    # OneFormer's own has the same method, but downloads class names.
    processor = library.Mask2FormerImageProcessor()
    stuff = {label for label, thing in enumerate(vocabulary.is_thing) if not thing}
    options = {}
    if name == 'OneFormer':
        # Which task is asked for, as tokens; their ids do not change the work.
        options['task_inputs'] = torch.ones(1, config.task_seq_len, device=device)

    def run(inputs: Tensor) -> list:
        given = {key: x.expand(len(inputs), -1) for key, x in options.items()}
        return processor.post_process_panoptic_segmentation(
            model(inputs, **given),
            threshold=0.0,  # as for the others
            label_ids_to_fuse=stuff,
            target_sizes=[tuple(inputs.shape[-2:])] * len(inputs),
        )

    backbone = model.model.pixel_level_module.encoder
    return System(model, run, 'panoptic', backbone)


def _build_eomt(width: int, depth: int, blocks: int, *given: Any) -> System:
    vocabulary, _, device = given
    library = importlib.import_module('transformers')
    config = library.EomtConfig(
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=width // 64,
        num_blocks=blocks,
        num_labels=len(vocabulary),
    )
    model = library.EomtForUniversalSegmentation(config).eval().to(device)
    # Training ends with plain attention in all blocks, as inference has it.
    model.attn_mask_probs.zero_()
    side = config.image_size
    processor = library.EomtImageProcessor(
        size=dict(shortest_edge=side, longest_edge=side)
    )
    stuff = [label for label, thing in enumerate(vocabulary.is_thing) if not thing]

    def run(inputs: Tensor) -> list:
        # Its squares, as its processor makes them: the longer side fits, the rest is 0.
        size = tuple(inputs.shape[-2:])
        height, width = (round(length * side / max(size)) for length in size)
        images = F.interpolate(inputs, (height, width), mode='bilinear')
        return processor.post_process_panoptic_segmentation(
            model(F.pad(images, (0, side - width, 0, side - height))),
            [size] * len(inputs),
            threshold=0.0,  # as for the others
            stuff_classes=stuff,
        )

    return System(model, run, 'panoptic', None)


def _read_config(package: str, name: str) -> ConfigDict:
    """Return the model of a config that comes with mmdet or mmseg."""
    module: Any = importlib.import_module(package)
    folder = Path(module.__file__).parent / '.mim/configs'
    return Config.fromfile(folder / name).model


def _import_ops() -> None:
    """Raise unless mmcv has its compiled ops."""
    try:
        importlib.import_module('mmcv.ops')
    except ImportError as error:
        raise MissingPackageError(
            'needs mmcv with compiled ops (make venv-ops)'
        ) from error


PEERS = {
    'eovseg-s': Peer(partial(_build_ours, 'eovseg_r50_zs-ade20k')),
    'eovseg-m': Peer(partial(_build_ours, 'eovseg_r50x4_zs-ade20k')),
    'eovseg-l': Peer(partial(_build_ours, 'eovseg_convnext-l_zs-ade20k')),
    'deop-b16': Peer(partial(_build_ours, 'deop_vit-b16_zs-ade20k-150'), 'eovseg-s'),
    'deop-l14': Peer(
        partial(_build_ours, 'deop_vit-l14-336_cocostuff-156'), 'eovseg-l'
    ),
    'simbaseline-b16': Peer(
        partial(_build_ours, 'simbaseline_vit-b16_zs-ade20k-150'), 'eovseg-s'
    ),
    'san-b16': Peer(
        partial(_build_san, 'san/san-vit-b16_coco-stuff164k-640x640.py'), 'eovseg-s'
    ),
    'san-l14': Peer(
        partial(_build_san, 'san/san-vit-l14_coco-stuff164k-640x640.py'), 'eovseg-l'
    ),
    'fcclip-r50': Peer(partial(_build_ours, 'fcclip_r50_zs-ade20k'), 'eovseg-s'),
    'fcclip-l': Peer(partial(_build_ours, 'fcclip_convnext-l_zs-ade20k'), 'eovseg-l'),
    'mask2former-r50': Peer(
        partial(
            _build_mmdet,
            'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
        ),
        'eovseg-s',
    ),
    'maskformer-r50': Peer(
        partial(_build_mmdet, 'maskformer/maskformer_r50_ms-16xb1-75e_coco.py'),
        'eovseg-s',
    ),
    'hf-mask2former-t': Peer(partial(_build_transformers, 'Mask2Former'), 'eovseg-s'),
    'hf-eomt-b': Peer(partial(_build_eomt, 768, 12, 3), 'eovseg-s'),
    'hf-eomt-l': Peer(partial(_build_eomt, 1024, 24, 4), 'eovseg-l'),
    'hf-oneformer-t': Peer(partial(_build_transformers, 'OneFormer'), 'eovseg-s'),
}
