"""FC-CLIP: Mask2Former on one frozen convolutional CLIP."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmovseg.registry import MODELS

from ..structures import MaskPrediction, TextEmbeddings
from .eovseg import EOVSeg


@MODELS.register_module()
class FCCLIP(EOVSeg):
    """Masked-attention queries on the maps of one frozen convolutional CLIP.

    Arguments, ensemble and classification by CLIP are those of :class:`EOVSeg`, which
    was built on FC-CLIP. There is no spatial branch, and the neck does not read the
    names.

    Args:
        backbone: Config of the frozen convolutional CLIP.
        spatial_backbone: None.
        shared: See :class:`EOVSeg`.

    Raises:
        ValueError: If there is a spatial branch, and as in :class:`EOVSeg`.

    Source: FC-CLIP (arXiv 2308.02487, NeurIPS 2023), section 3.
    """

    def __init__(
        self, backbone: dict, spatial_backbone: None = None, **shared: Any
    ) -> None:
        if spatial_backbone is not None:
            raise ValueError(
                'FC-CLIP has no spatial branch: set spatial_backbone=None, or take '
                "type='EOVSeg'."
            )
        super().__init__(backbone, spatial_backbone, **shared)

    def extract_feat(self, inputs: Tensor) -> Any:
        """Run backbone and pixel decoder; see :meth:`OVSegmentor.extract_feat`."""
        # 1. One frozen CLIP gives all features.
        maps = self.backbone(inputs)
        # 2. The pixel decoder makes mask features and three levels of them.
        return maps, self.neck(maps)

    def decode(
        self, features: Any, text: TextEmbeddings, names: TextEmbeddings
    ) -> list[MaskPrediction]:
        """Make masks with the trained classifier; see :meth:`EOVSeg.decode`."""
        _, (mask_features, *levels) = features
        # 3. Queries attend to the levels and become masks with class logits.
        # 4. CLIP names the same masks by its own last map; both are mixed.
        return self.decoder(mask_features, levels, names, all_stages=self.training)
