"""EOV-Seg computed step by step, as its released code does it, with a model's weights.

The baseline that compare_reference.py times ours against. Written from a description
of what the released code computes, on operators of PyTorch: nothing is folded,
streamed, skipped or done in parts. torchvision's ``deform_conv2d`` stands for the
operator of mmcv and detectron2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from ..models.backbones import CLIPConvBackbone, CLIPViTBackbone
from ..models.decoders import LiteDecoder
from ..models.decoders.lite_decoder import ChannelLayerNorm
from ..models.ensembles import GeometricEnsemble
from ..models.fusion import MaskFusion
from ..models.heads import TDEEHead
from ..models.necks import VASNeck
from ..models.segmentors import EOVSeg
from ..models.structures import MaskPrediction, TextEmbeddings
from ..vocabulary import Vocabulary


class PlainResult(NamedTuple):
    """What the plain form finds in an image.

    Attributes:
        panoptic: Segment of each pixel, 0 for none, int32, ``[H, W]``.
        segments: ``id``, ``category_id`` and ``isthing`` of each segment.
        semantic: Class of each pixel, ``[H, W]``; None if it is switched off.
    """

    panoptic: Tensor
    segments: list[dict[str, Any]]
    semantic: Tensor | None


class PlainEOVSeg(nn.Module):
    """The weights of an EOV-Seg, used the plain way, for one image at a time.

    It has the parts of the model by the same names, and ``infer`` and ``fusion`` are
    called in the same way. Vocabulary and the semantic output are the model's; there
    are no instances.

    Args:
        model: An ``EOVSeg`` of the paper's form, in eval mode. Its weights are shared.

    Raises:
        ValueError: If the model is another one, or one of an ablation.

    Source: EOV-Seg, AAAI 2025, and its released code.
    """

    def __init__(self, model: EOVSeg) -> None:
        super().__init__()
        _check(model)
        self.model = model
        self.backbone = _Backbone(model.backbone)
        self.spatial_backbone = _SpatialBackbone(model.spatial_backbone)
        self.neck = _Neck(model.neck)
        self.decoder = _Decoder(model.decoder)
        self.fusion = _Fusion(model.fusion)
        self.eval()

    @property
    def vocabulary(self) -> Vocabulary:
        """The test vocabulary of the model."""
        return self.model.vocabulary

    @torch.no_grad()
    def infer(
        self, inputs: Tensor, text: TextEmbeddings, data_samples: list | None = None
    ) -> MaskPrediction:
        """Predict masks and class log-probabilities of ``[1, 3, H, W]``.

        Raises:
            ValueError: If there is more than one image.
        """
        if len(inputs) != 1:
            raise ValueError(f'The plain form takes one image, not {len(inputs)}.')
        features = self.backbone(inputs)
        pixels = self.neck(features, text)
        spatial = self.spatial_backbone(inputs)
        stages = self.decoder(pixels, spatial, text)
        return self.mix_zero_shot(stages[-1], features[-1], text)

    def mix_zero_shot(
        self, prediction: MaskPrediction, features: Tensor, text: TextEmbeddings
    ) -> MaskPrediction:
        """Mix the class probabilities with those of CLIP's last map."""
        model = self.model
        masks = _resize(prediction.mask_logits, features.shape[-2:])
        regions = pool_clip(model.backbone, features, masks)
        frozen = class_logits(regions, text, model.text_classifier.logit_scale)
        p_in = prediction.class_logits[..., :-1].softmax(-1)  # [1, N, K]
        p_out = frozen[..., :-1].softmax(-1)
        valid: Tensor | float = 1.0
        if model.ensemble.valid_only:
            valid = (masks > 0).flatten(2).any(-1, keepdim=True).float()  # [1, N, 1]

        def mix(weight: float) -> Tensor:
            exponent = weight * valid  # anything, also NaN, to the power of 0 is 1
            return (p_in ** (1 - exponent) * p_out**exponent).log()

        ensemble = model.ensemble
        mixed = torch.where(model.seen, mix(ensemble.alpha), mix(ensemble.beta))
        void = prediction.class_logits.softmax(-1)[..., -1:]
        probs = torch.cat([mixed.softmax(-1) * (1 - void), void], -1)
        return prediction._replace(class_logits=(probs + 1e-8).log())


class _Backbone(nn.Module):
    """CLIP's CNN with its own modules, norms included."""

    def __init__(self, backbone: CLIPConvBackbone) -> None:
        super().__init__()
        self.visual, self.is_resnet = backbone.visual, backbone.is_resnet

    def forward(self, images: Tensor) -> list[Tensor]:
        if self.is_resnet:
            net = self.visual
            stages = [net.layer1, net.layer2, net.layer3, net.layer4]
        else:
            net = self.visual.trunk
            stages = list(net.stages)
        x, maps = net.stem(images), []
        for stage in stages:
            x = stage(x)
            maps.append(x.contiguous())
        return maps


class _SpatialBackbone(nn.Module):
    """CLIP's ViT as far as its kept blocks."""

    def __init__(self, backbone: CLIPViTBackbone) -> None:
        super().__init__()
        self.visual = backbone.intermediates.visual

    def forward(self, images: Tensor) -> Tensor:
        visual = self.visual
        # [1, C, h, w]; ours has another way for this convolution
        x = F.conv2d(images, visual.conv1.weight, stride=visual.conv1.stride)
        size = x.shape[-2:]
        token, grid = _split_positions(visual.positional_embedding, size)
        token = (visual.class_embedding + token).expand(1, 1, -1)
        x = visual.ln_pre(torch.cat([token, _to_rows(x + grid)], 1))
        x = x.transpose(0, 1)  # tokens first
        for block in visual.transformer.resblocks:
            x = block(x)
        return x[1:].permute(1, 2, 0).unflatten(2, size)


class _Neck(nn.Module):
    """The aggregator, and the selection by vocabulary with the whole product."""

    def __init__(self, neck: VASNeck) -> None:
        super().__init__()
        self.aggregator, self.selection = neck.aggregator, neck.selection

    def forward(self, features: Sequence[Tensor], text: TextEmbeddings) -> Tensor:
        pixels = self.aggregate(features)
        return pixels * self.attention(pixels, text.weight)

    def aggregate(self, features: Sequence[Tensor]) -> Tensor:
        """Fuse four maps to one of stride 4."""
        parts = self.aggregator
        maps = [parts.laterals[3](features[3])]
        for level in (2, 1, 0):
            finer = self.upsample(parts.upsamples[level], maps[-1])
            maps.append(parts.laterals[level](features[level]) + finer)
        up8, up4, up2, x = (
            projection(y)
            for projection, y in zip(parts.projections[::-1], maps, strict=True)
        )
        for factor, y in ((8, up8), (4, up4), (2, up2)):
            x = x + F.interpolate(
                y, scale_factor=factor, mode='bilinear', align_corners=False
            )
        x = parts.fuse(x + parts.bias)
        columns = torch.linspace(-1, 1, x.shape[-1], device=x.device)
        rows = torch.linspace(-1, 1, x.shape[-2], device=x.device)
        y, x_ = torch.meshgrid(rows, columns, indexing='ij')
        return parts.out(torch.cat([x, x_[None, None], y[None, None]], 1))

    def upsample(self, part: nn.Module, x: Tensor) -> Tensor:
        """Deformable, then transposed convolution, each with norm and ReLU."""
        first, second, mask = part.offset(x).chunk(3, 1)
        offset = torch.cat([first, second], 1)
        x = deform_conv2d(x, offset, part.weight, padding=1, mask=mask.sigmoid())
        x = F.relu(part.norm1(x))
        return F.relu(part.norm2(part.upsample(x)))

    def attention(self, pixels: Tensor, names: Tensor) -> Tensor:
        """Weigh each position, ``[1, 1, h, w]``."""
        part = self.selection
        image, guide = part.embed(pixels), part.guide(names)
        scores = torch.einsum('bdhw,vd->bhwv', image, guide) / guide.shape[-1] ** 0.5
        best = scores.softmax(-1).amax(-1).unsqueeze(1)
        return best * part.scale + part.offset


class _Decoder(nn.Module):
    """All stages with their class logits, on the whole upsampled spatial map."""

    def __init__(self, decoder: LiteDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, pixels: Tensor, spatial: Tensor, text: TextEmbeddings
    ) -> list[MaskPrediction]:
        spatial = self.upsample(spatial)
        kernels = self.decoder.object_kernels.weight.unsqueeze(0)
        masks = torch.einsum('bnc,bchw->bnhw', kernels, pixels)
        predictions = []
        for index, head in enumerate(self.decoder.heads):
            kernels, masks = self.refine(index, kernels, masks, pixels)
            regions = self.embed(index, kernels, masks, pixels, spatial)
            logits = class_logits(regions, text, head.logit_scale)
            predictions.append(MaskPrediction(logits, masks))
        return predictions

    def upsample(self, x: Tensor) -> Tensor:
        """Upsample the spatial map to stride 4."""
        for layer in self.decoder.spatial_upsample:
            if isinstance(layer, ChannelLayerNorm):
                norm = layer.weight.shape, layer.weight, layer.bias, layer.eps
                x = F.layer_norm(x.permute(0, 2, 3, 1), *norm)
                x = x.permute(0, 3, 1, 2).contiguous()
            else:
                x = layer(x)
        return x

    def refine(
        self, index: int, kernels: Tensor, masks: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the kernels and masks of a stage."""
        stage = self.decoder.stages[index]
        inside = (masks.sigmoid() > 0.5).float()
        f = torch.einsum('bnhw,bchw->bnc', inside, pixels)
        f = stage.features_norm(f + _mix_channels(stage.refine_features, kernels, f))
        k = stage.kernels_norm(f + _mix_channels(stage.refine_kernels, kernels, f))
        attended, _ = stage.self_attention(k, k, k, need_weights=False)
        k = stage.attention_norm(k + attended)
        k = stage.ffn_norm(k + stage.ffn(k))
        return k, torch.einsum('bnc,bchw->bnhw', stage.mask_kernels(k), pixels)

    def embed(
        self,
        index: int,
        kernels: Tensor,
        masks: Tensor,
        pixels: Tensor,
        spatial: Tensor,
    ) -> Tensor:
        """Embed the masks of a stage in CLIP's space, ``[1, N, D]``."""
        head = self.decoder.heads[index]
        experts = head.tdee
        mask = head.mask_proj(pool_masks(pixels, masks))
        spatial = head.spatial_proj(pool_masks(spatial, masks))
        mask_route, mask_value = experts.mask_params(mask).chunk(2, -1)
        spatial_route, spatial_value = experts.spatial_params(spatial).chunk(2, -1)
        route = mask_route * spatial_route
        gates = (
            experts.mask_router_norm(experts.mask_router(route)).sigmoid(),
            experts.spatial_router_norm(experts.spatial_router(route)).sigmoid(),
        )
        fused = gates[0] * experts.mask_norm(mask_value)
        fused = fused + gates[1] * experts.spatial_norm(spatial_value)
        fused = F.gelu(experts.out_norm(experts.out(fused)))
        return head.embed(fused + kernels)


class _Fusion(nn.Module):
    """All masks at the size of the output, and a loop over the kept ones."""

    def __init__(self, fusion: MaskFusion) -> None:
        super().__init__()
        self.fusion = fusion

    @torch.no_grad()
    def forward(
        self,
        prediction: MaskPrediction,
        data_samples: Sequence[BaseDataElement] | None,
        vocabulary: Vocabulary,
        padded_size: tuple[int, int],
    ) -> list[PlainResult]:
        """Do what ``MaskFusion`` does, for one image."""
        sample = data_samples[0] if data_samples else BaseDataElement()
        height, width = sample.get('img_shape', padded_size)[:2]
        masks = _resize(prediction.mask_logits, padded_size)[..., :height, :width]
        masks = _resize(masks, sample.get('ori_shape', (height, width))[:2])[0]
        probs = prediction.class_logits[0].softmax(-1)  # [N, K + 1]
        panoptic, segments = self.merge(probs, masks, vocabulary)
        semantic = None
        if self.fusion.semantic:
            scores = torch.einsum('nk,nhw->khw', probs[:, :-1], masks.sigmoid())
            semantic = scores.argmax(0)
        return [PlainResult(panoptic, segments, semantic)]

    def merge(
        self, probs: Tensor, masks: Tensor, vocabulary: Vocabulary
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """Make segments of mask logits ``[N, H, W]``."""
        scores, labels = probs.max(-1)
        kept = (labels != len(vocabulary)) & (scores > self.fusion.object_mask_thr)
        scores, labels, masks = scores[kept], labels[kept], masks[kept].sigmoid()
        panoptic = masks.new_zeros(masks.shape[1:], dtype=torch.int32)
        segments: list[dict[str, Any]] = []
        if not len(masks):
            return panoptic, segments
        winner = (scores.view(-1, 1, 1) * masks).argmax(0)
        stuff: dict[int, int] = {}
        for query, label in enumerate(labels.tolist()):
            won, own = winner == query, masks[query] >= 0.5
            both = won & own
            areas = [area.sum().item() for area in (won, own, both)]
            if not all(areas) or areas[0] / areas[1] < self.fusion.iou_thr:
                continue
            if label in stuff:
                panoptic[both] = stuff[label]
                continue
            thing, number = bool(vocabulary.is_thing[label]), len(segments) + 1
            if not thing:
                stuff[label] = number
            panoptic[both] = number
            segments.append(dict(id=number, category_id=label, isthing=thing))
        return panoptic, segments


def class_logits(regions: Tensor, text: TextEmbeddings, logit_scale: Tensor) -> Tensor:
    """Score regions ``[1, N, D]`` by names, then by the best name of each class."""
    cosine = F.normalize(regions, dim=-1) @ text.weight.T  # [1, N, V + 1]
    logits = logit_scale.exp().clamp(max=100) * cosine
    names = text.class_ids.bincount().tolist()  # of each class, void last
    return torch.stack([part.amax(-1) for part in logits.split(names, -1)], -1)


def pool_masks(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Average ``[1, C, h, w]`` inside masks, ``[1, N, C]``."""
    if mask_logits.shape[-2:] != features.shape[-2:]:
        mask_logits = _resize(mask_logits, features.shape[-2:])
    inside = (mask_logits > 0).float()
    total = torch.einsum('bchw,bnhw->bnc', features, inside)
    return total / (inside.sum((-2, -1)).unsqueeze(-1) + 1e-8)


def pool_clip(
    backbone: CLIPConvBackbone, features: Tensor, mask_logits: Tensor
) -> Tensor:
    """Embed the masks by CLIP's last map, ``[1, N, D]``."""
    visual = backbone.visual
    if not backbone.is_resnet:
        pooled = pool_masks(features, mask_logits)[0]
        return visual.head(visual.trunk.head(pooled[..., None, None])).unsqueeze(0)
    pool, queries = visual.attnpool, mask_logits.shape[1]
    token, grid = _split_positions(pool.positional_embedding, features.shape[-2:])
    rows = _to_rows(features + grid).transpose(0, 1)  # [h * w, 1, C]
    query = features.mean((-2, -1)) + token
    bias = torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias])
    regions, _ = F.multi_head_attention_forward(
        query.expand(queries, 1, -1),
        rows,
        rows,
        query.shape[-1],
        pool.num_heads,
        in_proj_weight=None,
        in_proj_bias=bias,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        training=False,
        need_weights=False,
        # [heads, N, h * w]
        attn_mask=(mask_logits <= 0).flatten(2).repeat(pool.num_heads, 1, 1),
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
    )
    return regions.transpose(0, 1)


def _mix_channels(part: nn.Module, kernels: Tensor, features: Tensor) -> Tensor:
    """Convolve each query's feature along its channels with taps of its kernel."""
    taps = part.taps(kernels)[0].unsqueeze(1)  # [N, 1, T]
    padding = taps.shape[-1] // 2
    return part.norm(F.conv1d(features, taps, padding=padding, groups=len(taps)))


def _split_positions(table: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the token's row ``[C]``, and the others as a map ``[1, C, *size]``."""
    side = round((len(table) - 1) ** 0.5)
    grid = table[1:].unflatten(0, (side, side)).permute(2, 0, 1)
    return table[0], _resize(grid.unsqueeze(0), size)


def _to_rows(x: Tensor) -> Tensor:
    """Return ``[1, C, h, w]`` as ``[1, h * w, C]``."""
    return x.flatten(2).transpose(1, 2)


def _resize(x: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)


def _check(model: EOVSeg) -> None:
    """Raise a ValueError unless the model has the form of the released code."""
    parts = dict(
        backbone=CLIPConvBackbone,
        spatial_backbone=CLIPViTBackbone,
        neck=VASNeck,
        decoder=LiteDecoder,
        fusion=MaskFusion,
        ensemble=GeometricEnsemble,
    )
    changed = [
        name
        for name, kind in parts.items()
        if type(getattr(model, name, None)) is not kind
    ]
    if not changed:
        options = {
            'neck.text_channels': model.neck.selection is None,
            'decoder.head': type(model.decoder.heads[0]) is not TDEEHead,
            'fusion.resize_probabilities': model.fusion.resize_probabilities,
        }
        changed = [option for option, differs in options.items() if differs]
    if changed:
        raise ValueError(
            f'The plain form is that of the released EOV-Seg, and {", ".join(changed)} '
            f'of this {type(model).__name__} differ; take eovseg_r50, eovseg_r50x4, '
            'eovseg_convnext-l or eovseg_tiny.'
        )
