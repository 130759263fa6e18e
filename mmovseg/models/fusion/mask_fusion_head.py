"""Our fusion as panoptic fusion head of mmdet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.structures import BaseDataElement
from torch import Tensor

from ...registry import MODELS
from ...vocabulary import Vocabulary
from ..structures import MaskPrediction
from .mask_fusion import MaskFusion

# Names of mmdet's test_cfg that have other ones here.
SWITCHES = {'panoptic_on': 'panoptic', 'instance_on': 'instance'}
SHARED = ('object_mask_thr', 'iou_thr', 'max_per_image')


@MODELS.register_module()
class MaskFusionHead(MaskFusion):
    """:class:`MaskFusion` as ``panoptic_fusion_head`` of mmdet's detectors.

    Args:
        num_things_classes: Of the model, whose things come first.
        num_stuff_classes: Of the model.
        vocabulary: The classes by name, for ``label_names`` of the results; None
            numbers them.
        test_cfg: Of mmdet: ``panoptic_on``, ``instance_on``, ``object_mask_thr``,
            ``iou_thr`` and ``max_per_image`` win over the arguments.
        options: Arguments of :class:`MaskFusion`.

    Raises:
        ValueError: If the vocabulary has other classes, or semantic results are asked
            for, which these detectors do not take.
    """

    def __init__(
        self,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        *,
        vocabulary: str | Sequence[str] | None = None,
        test_cfg: Any = None,
        **options: Any,
    ) -> None:
        test_cfg = dict(test_cfg or {})
        if test_cfg.get('semantic_on') or options.get('semantic'):
            raise ValueError(
                'mmdet takes no semantic results of its mask classification models: '
                'set semantic_on=False.'
            )
        given = {new: test_cfg[old] for old, new in SWITCHES.items() if old in test_cfg}
        given |= {name: test_cfg[name] for name in SHARED if name in test_cfg}
        super().__init__(**options | given | dict(semantic=False))
        flags = (True,) * num_things_classes + (False,) * num_stuff_classes
        if vocabulary is None:
            names = tuple((f'class {number}',) for number in range(len(flags)))
            self.vocabulary = Vocabulary(names, flags)
        else:
            self.set_vocabulary(vocabulary)
            if self.vocabulary.is_thing != flags:
                raise ValueError(
                    f'The vocabulary of MaskFusionHead has {len(self.vocabulary)} '
                    f'classes, {sum(self.vocabulary.is_thing)} of them things; the '
                    f'head is told of {num_things_classes} things, which come first, '
                    f'and {num_stuff_classes} stuff classes.'
                )

    def set_vocabulary(self, vocabulary: Vocabulary | str | Sequence[str]) -> None:
        """Choose the classes of the results, from the next call on."""
        self.vocabulary = Vocabulary.load(vocabulary)

    def predict(
        self,
        mask_cls_results: Tensor,
        mask_pred_results: Tensor,
        batch_data_samples: Sequence[BaseDataElement],
        rescale: bool = False,
    ) -> list[dict[str, Any]]:
        """Make the results of a batch, as mmdet's fusion heads do.

        Args:
            mask_cls_results: Class logits, ``[B, N, K + 1]``.
            mask_pred_results: Mask logits, ``[B, N, H, W]``, of the padded images.
            batch_data_samples: Their metainfo has the sizes.
            rescale: Whether results get the size of the original image.

        Returns:
            Per image ``pan_results`` and ``ins_results``, as far as they are on.
        """
        samples = []
        for sample in batch_data_samples:
            sizes = {'img_shape': sample.metainfo['img_shape']}
            sizes['ori_shape'] = sample.metainfo[
                'ori_shape' if rescale else 'img_shape'
            ]
            samples.append(BaseDataElement(metainfo=sizes))
        padded = (mask_pred_results.shape[-2], mask_pred_results.shape[-1])
        prediction = MaskPrediction(mask_cls_results, mask_pred_results)
        done = self(prediction, samples, self.vocabulary, padded)
        fields = dict(pan_results='pred_panoptic_seg', ins_results='pred_instances')
        return [
            {key: getattr(x, field) for key, field in fields.items() if field in x}
            for x in done
        ]
