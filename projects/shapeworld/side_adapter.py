"""SAN of mmseg, with names and masks as our segmentors have them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models.decode_heads import san_head
from mmseg.models.utils import point_sample as mmseg_points
from mmseg.utils import mask_classification
from torch import Tensor, nn

from mmovseg.models.clip import create_visual_transformer
from mmovseg.models.segmentors import OVSegmentor
from mmovseg.models.structures import MaskPrediction, TextEmbeddings
from mmovseg.registry import MODELS


def sample_points(maps: Tensor, points: Tensor, **options: Any) -> Tensor:
    """Read maps at points, as ``mmcv.ops.point_sample`` does.

    Args:
        maps: ``[N, C, H, W]``.
        points: x and y from 0 to 1, ``[N, P, 2]``.
        options: Of ``grid_sample``.

    Returns:
        ``[N, C, P]``.

    Example:
        >>> maps = torch.arange(4.0).view(1, 1, 2, 2)
        >>> sample_points(maps, torch.tensor([[[0.25, 0.25], [0.5, 0.5]]])).tolist()
        [[[0.0, 1.5]]]
    """
    options.setdefault('align_corners', False)
    return F.grid_sample(maps, 2 * points.unsqueeze(2) - 1, **options).squeeze(3)


def do_without_ops() -> None:
    """Give mmseg the one function that it takes from mmcv's compiled ops.

    It is no compiled one, but comes with them. mmseg has None in its place without.
    """
    for module in (san_head, mmseg_points, mask_classification):
        if module.point_sample is None:
            module.point_sample = sample_points
    if san_head.get_uncertain_point_coords_with_randomness is None:
        choose = mmseg_points.get_uncertain_point_coords_with_randomness
        san_head.get_uncertain_point_coords_with_randomness = choose


@MODELS.register_module()
class SideAdapterSegmentor(OVSegmentor):
    """mmseg's ``SideAdapterCLIPHead`` beside a frozen CLIP ViT.

    The head finds masks, and tells the last blocks of CLIP where their queries look.
    Its loss is mmseg's. Names, void and results are those of all our segmentors.

    Args:
        backbone: Config of the first blocks, a ``CLIPViTBackbone`` that gives class
            tokens, too.
        head: Arguments of ``SideAdapterCLIPHead``.
        resolution: CLIP sees images smaller by this factor.
        shared: What all segmentors take but the criterion; see :class:`OVSegmentor`.

    Raises:
        ValueError: If blocks of the head are no rest of the CLIP's.

    Source: mmseg 1.x; SAN, Xu et al., arXiv 2302.12242.
    """

    def __init__(
        self, backbone: dict, head: dict, *, resolution: float = 0.5, **shared: Any
    ) -> None:
        super().__init__(criterion=None, **shared)
        do_without_ops()
        self.resolution = resolution
        self.backbone = MODELS.build(backbone)
        with DefaultScope.overwrite_default_scope('mmseg'):
            self.head = san_head.SideAdapterCLIPHead(**ConfigDict(head))
        tower = create_visual_transformer(
            backbone['model_name'], backbone.get('pretrained')
        )
        self._copy_rest(tower)

    def init_weights(self) -> None:
        """Leave CLIP's weights alone."""
        self.head.side_adapter_network.init_weights()

    @torch.no_grad()
    def _copy_rest(self, tower: Any) -> None:
        """Copy the blocks of CLIP that the backbone has not run, and its ending."""
        rest, first = self.head.rec_with_attnbias, max(self.backbone.out_indices) + 1
        blocks = tower.transformer.resblocks[first:]
        if len(blocks) != len(rest.layers):
            raise ValueError(
                f'head.maskgen_cfg.num_layers is {len(rest.layers)}, but CLIP has '
                f'{len(blocks)} blocks after those of the backbone.'
            )
        pairs: list[tuple[nn.Module, nn.Module]] = [(rest.ln_post, tower.ln_post)]
        for layer, block in zip(rest.layers, blocks, strict=True):
            pairs += [
                (layer.norms[0], block.ln_1),
                (layer.attentions[0].attn, block.attn),
                (layer.norms[1], block.ln_2),
                (layer.ffns[0].layers[0][0], block.mlp.c_fc),
                (layer.ffns[0].layers[1], block.mlp.c_proj),
            ]
        for own, other in pairs:
            own.load_state_dict(other.state_dict())
        rest.proj.weight.copy_(tower.proj.T)

    def extract_feat(self, inputs: Tensor) -> tuple:
        """Run the first blocks of CLIP, ``[B, C, h, w]`` and class tokens each."""
        small = F.interpolate(
            inputs, scale_factor=self.resolution, mode='bilinear', align_corners=False
        )
        return self.backbone(small)

    def segment(
        self, inputs: Tensor, text: TextEmbeddings, features: Any = None
    ) -> list[MaskPrediction]:
        """Predict masks and class logits; see :meth:`OVSegmentor.segment`."""
        features = self.extract_feat(inputs) if features is None else features
        stages = self.head.deep_supervision_idxs if self.training else []
        masks, biases = self.head.side_adapter_network(inputs, features, stages)
        scale = self.text_classifier.logit_scale.exp().clamp(max=100)
        return [
            MaskPrediction(
                text.logits(self.head.rec_with_attnbias(bias, features[-1]), scale),
                mask,
            )
            for mask, bias in zip(masks, biases, strict=True)
        ]

    def loss(self, inputs: Tensor, data_samples: list | None) -> dict[str, Tensor]:
        """Compute mmseg's loss of semantic maps over the training classes."""
        text = self.encode_vocabulary(self.train_vocabulary)
        found = self.segment(inputs, text)
        targets = mask_classification.seg_data_to_instance_data(
            self.head.ignore_index, data_samples or []
        )
        return self.head.loss_by_feat(
            [x.class_logits for x in found], [x.mask_logits for x in found], targets
        )
