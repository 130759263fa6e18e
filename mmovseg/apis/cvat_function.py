r"""Annotate a task of CVAT with a model, by CVAT's own command.

    pip install cvat-cli 'mmovseg[cvat]'
    cvat-cli task auto-annotate TASK --function-module mmovseg.apis.cvat_function \
        -p classes=str:"cat; kitten, cup, stuff: table"

The task needs labels of these names.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from ..labels.polygons import join_parts, trace_edges
from .inferencer import OVSegInferencer
from .zoo import load


class CvatFunction:
    """A detection function of CVAT's SDK.

    Args:
        inferencer: The model, with its classes set.
        task: ``'panoptic'``, ``'instance'`` or ``'semantic'``.

    Attributes:
        spec: The labels; their ids are the class indices.
    """

    def __init__(self, inferencer: OVSegInferencer, task: str = 'panoptic') -> None:
        import cvat_sdk.auto_annotation as cvat

        self.inferencer, self.task = inferencer, task
        names = inferencer.model.vocabulary.names
        self.spec = cvat.DetectionFunctionSpec(
            labels=[cvat.label_spec(name, i) for i, name in enumerate(names)]
        )

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """Return a mask, or a polygon where CVAT asks for one, per segment.

        Args:
            context: CVAT's; it has the least score and the kind of shapes.
            image: The frame.
        """
        import cvat_sdk.auto_annotation as cvat
        from cvat_sdk.masks import encode_mask

        result = self.inferencer.segment(image, task=self.task)
        least = context.conf_threshold or 0
        shapes = []
        for segment, mask in zip(result.segments, result.masks(), strict=True):
            if segment.score is not None and segment.score < least:
                continue
            if context.conv_mask_to_poly:
                points = join_parts(trace_edges(mask)).ravel().astype(float).tolist()
                shapes.append(cvat.polygon(segment.label, points))
            else:
                shapes.append(cvat.mask(segment.label, encode_mask(mask)))
        return shapes


def create(
    classes: str, model: str | None = None, task: str = 'panoptic'
) -> CvatFunction:
    """Make the function for ``cvat-cli``; its options ``-p`` are these.

    Args:
        classes: Names, as for ``mmovseg predict``.
        model: Name of a model; None takes the best that is on this machine.
        task: See :class:`CvatFunction`.
    """
    inferencer = load(model, vocabulary=classes, show_progress=False)
    return CvatFunction(inferencer, task)
