"""Where the name of a segment comes from: trained scores, those of CLIP, and void."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..apis import OVSegInferencer, Result, Segment
from ..apis.regions import Recorder, observe
from ..apis.visualization import draw_panoptic

NEAREST = 5  # names that are shown per segment


class NameScore(NamedTuple):
    """How well one name fits a segment.

    Attributes:
        name: The first name of the class.
        score: The final probability, 0 to 1.
        trained: The probability that the trained classifier gives it among the names.
        clip: What CLIP gives it among the names. None for a model that does not mix,
            and for a mask that is too small for CLIP's map.
        clip_weight: CLIP's weight in the mix, 0 to 1; None for a model that does not
            mix.
        seen: Whether the class was in the training vocabulary.
    """

    name: str
    score: float
    trained: float
    clip: float | None
    clip_weight: float | None
    seen: bool


class Explanation(NamedTuple):
    """Why a segment has its name.

    Attributes:
        segment: The segment.
        void: The final probability that the mask is no object, 0 to 1.
        nearest: The best names, best first.
    """

    segment: Segment
    void: float
    nearest: list[NameScore]

    def __str__(self) -> str:
        """Return some lines of text."""
        lines = [f'{self.segment.name}: void {self.void:.2f}']
        for x in self.nearest:
            shares = f'trained {x.trained:.2f}'
            if x.clip is not None:
                shares += f', CLIP {x.clip:.2f} (weight {x.clip_weight:g})'
            kind = 'seen' if x.seen else 'unseen'
            lines.append(f'  {x.name} {x.score:.2f} = {shares}; {kind} in training')
        return '\n'.join(lines)


def explain(
    inferencer: OVSegInferencer,
    photo: Any,
    *,
    vocabulary: Any = None,
    nearest: int = NEAREST,
) -> tuple[Result, list[Explanation]]:
    """Segment one photo, and tell where the names of its segments come from.

    Nothing of the inferencer is changed. Its model runs in its exact way, not in the
    fast mode.

    Args:
        inferencer: With a model that gives panoptic results.
        photo: As in a call of the inferencer; one photo.
        vocabulary: As in a call of the inferencer.
        nearest: How many names are listed per segment, at least 1.

    Returns:
        The panoptic result, and one explanation per segment, best score first.

    Raises:
        ValueError: If ``nearest`` is below 1, or there are several photos.
        ImageError: If the photo cannot be used.

    Example:
        >>> from mmovseg.shapeworld.drawing import draw_numbered
        >>> model = OVSegInferencer(
        ...     'eovseg_tiny_shapeworld', 'shapeworld', show_progress=False)
        >>> photo = draw_numbered(20, 'val', 0).image[..., ::-1]
        >>> result, found = explain(model, photo, nearest=2)
        >>> [x.nearest[0].name == x.segment.name for x in found]
        [True, True, True, True]
    """
    if nearest < 1:
        raise ValueError(f'nearest must be at least 1, got {nearest}.')
    # Copies that share all weights: hooks on the model itself would see other calls.
    observer = copy.copy(inferencer)
    observer.model, ensemble, fusion = _observe(inferencer.model)
    result = observer.segment(photo, vocabulary)
    if not isinstance(result, Result):
        raise ValueError(f'explain takes one photo, got {len(result)}.')
    prediction, _, classes = fusion.arguments[:3]
    scores = prediction.class_logits[0].float().softmax(-1).cpu()  # [N, K + 1]
    shares = _read_shares(ensemble, scores)
    owners = _find_queries(result, scores, prediction.mask_logits[0])
    seen = classes.seen_in(observer.model.train_vocabulary)
    found = []
    for segment, query in zip(result.segments, owners, strict=True):
        best = scores[query, :-1].argsort(descending=True)[:nearest].tolist()
        if segment.label not in best:
            best[-1] = segment.label
        names = [
            NameScore(
                name=classes.names[k],
                score=float(scores[query, k]),
                seen=seen[k],
                **shares.of(query, k),
            )
            for k in best
        ]
        found.append(Explanation(segment, float(scores[query, -1]), names))
    return result, found


def draw_explanations(
    result: Result, explanations: Sequence[Explanation]
) -> np.ndarray:
    """Draw segments, and bars of what gave them their names.

    Args:
        result: From :func:`explain`.
        explanations: From :func:`explain`, at least one. The eight best are drawn.

    Returns:
        RGB, uint8.

    Raises:
        ValueError: If there is no explanation.
    """
    if not explanations:
        raise ValueError('There is no segment to explain: the photo shows no class.')
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = list(explanations)[:8]
    rows = -(-len(shown) // 2)
    figure = Figure((14, max(4, 2.2 * rows)), dpi=80, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    halves: Any = figure.subfigures(1, 2, width_ratios=(2, 3))
    picture, bars = halves
    axes = picture.subplots()
    axes.set_axis_off()
    infos = [
        dict(id=x.id, category_id=x.label, isthing=x.isthing, score=x.score)
        for x in (explanation.segment for explanation in shown)
    ]
    axes.imshow(
        draw_panoptic(
            np.asarray(result.image),
            result.label_map,
            infos,
            result.names,
            legend=False,
        )
    )
    grid = bars.subplots(rows, 2, squeeze=False).ravel()
    for panel in grid[len(shown) :]:
        panel.set_axis_off()
    for panel, explanation in zip(grid, shown, strict=False):
        _draw_bars(panel, explanation)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower right', ncols=4, fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_bars(panel: Any, explanation: Explanation) -> None:
    """Draw the shares of the nearest names, and void."""
    nearest = explanation.nearest
    places = np.arange(len(nearest))
    bars = [
        ('trained', [x.trained for x in nearest], '#f97316'),
        ('CLIP', [x.clip or 0.0 for x in nearest], '#3b82f6'),
        ('result', [x.score for x in nearest], '#111827'),
    ]
    if all(x.clip is None for x in nearest):
        del bars[1]
    for number, (label, values, color) in enumerate(bars):
        panel.barh(places + 0.27 * number, values, 0.25, color=color, label=label)
    panel.barh([len(nearest)], [explanation.void], 0.5, color='#9ca3af', label='void')
    stars = [x.name if x.seen else f'{x.name} (unseen)' for x in nearest]
    panel.set_yticks([*(places + 0.27), len(nearest)], [*stars, 'void'], fontsize=8)
    panel.set_xlim(0, 1)
    panel.tick_params(axis='x', labelsize=7)
    panel.invert_yaxis()
    panel.set_title(f'{explanation.segment.id}: {explanation.segment.name}', size=9)


def _observe(model: Any) -> tuple[Any, Recorder | None, Recorder]:
    """Copy a model without its weights, so that ensemble and fusion can be watched."""
    observed, [ensemble, fusion] = observe(model, 'ensemble', 'fusion')
    observed.execution = None
    assert fusion is not None
    return observed, ensemble, fusion


class _Shares(NamedTuple):
    """Probabilities among the names, ``[N, K]``, and CLIP's weight, ``[K]``."""

    trained: Tensor
    clip: Tensor | None = None
    weight: Tensor | None = None
    looked: Tensor | None = None  # whether CLIP could look at the mask, [N]

    def of(self, query: int, label: int) -> dict[str, Any]:
        """Return the numbers of one mask and class."""
        trained = float(self.trained[query, label])
        if self.clip is None or self.weight is None or self.looked is None:
            return dict(trained=trained, clip=None, clip_weight=None)
        if not self.looked[query]:
            return dict(trained=trained, clip=None, clip_weight=0.0)
        clip, weight = self.clip[query, label], self.weight[label]
        return dict(trained=trained, clip=float(clip), clip_weight=float(weight))


def _read_shares(ensemble: Recorder | None, scores: Tensor) -> _Shares:
    """Read what was mixed; without an ensemble all comes from one classifier."""
    if ensemble is None:
        classes = scores[:, :-1]
        return _Shares(classes / classes.sum(-1, keepdim=True))
    trained, clip, seen, valid = ensemble.arguments
    trained = trained.reshape(-1, trained.shape[-1])[:, :-1]
    clip = clip.reshape(-1, clip.shape[-1])
    part: Any = ensemble.part
    return _Shares(
        trained.float().softmax(-1).cpu(),
        clip.float().softmax(-1).cpu(),
        part.clip_weight(seen).cpu(),
        valid.reshape(-1).cpu() if part.valid_only else torch.ones(len(scores)),
    )


def _find_queries(result: Any, scores: Tensor, mask_logits: Tensor) -> list[int]:
    """Find the mask that each segment has its class and score from.

    The fusion gives a segment the score of one of its masks. Where several masks have
    that score, the one with the most pixels in the segment is taken.
    """
    best, labels = scores.max(-1)
    height, width = mask_logits.shape[-2:]
    queries = []
    for segment in result.segments:
        same = (labels == segment.label).nonzero()[:, 0]
        distance = (best[same] - segment.score).abs()
        same = same[distance == distance.min()]
        if len(same) > 1:
            inside = torch.as_tensor(result.label_map == segment.id).float()
            inside = nn.functional.adaptive_avg_pool2d(inside[None], (height, width))
            masks = mask_logits[same.to(mask_logits.device)].sigmoid().cpu()
            same = same[(masks * inside).sum((1, 2)).argsort(descending=True)]
        queries.append(int(same[0]))
    return queries
