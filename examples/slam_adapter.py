"""Feed a semantic map of a robot: frames in, plain arrays out, no torch in the caller.

    python examples/slam_adapter.py frame_0.png frame_1.png \
        --classes "chair, door, stuff: floor, stuff: wall"

Writes one .npz per frame, with what a mapper needs of every pixel: the class, the
number of the thing, the five most likely classes with their probabilities, and a color
that stays the same for a name. A node of ROS does the same with SemanticFrames: its
arrays are those of sensor_msgs/Image (classes as 32SC1), without a copy.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import mmovseg


class SemanticFrames:
    """Turn frames into arrays.

    Args:
        classes: Names, as for ``mmovseg predict``.
        model: Name of a model; None takes the best that is on this machine.
    """

    def __init__(self, classes: str, model: str | None = None) -> None:
        self.classes = classes
        self.inferencer = mmovseg.load(model, show_progress=False)

    def __call__(self, bgr: np.ndarray | str) -> dict[str, np.ndarray]:
        """Segment a frame; see :meth:`mmovseg.apis.Result.to_numpy`.

        Args:
            bgr: ``[H, W, 3]`` uint8, or the path of a photo.
        """
        result = self.inferencer.segment(bgr, self.classes, top_classes=True)
        return result.to_numpy()


def fuse(old: np.ndarray, frame: dict[str, np.ndarray]) -> np.ndarray:
    """Add the evidence of a frame to that of a map that has one cell per pixel.

    A real map projects pixels to voxels first; the sum is the same there.

    Args:
        old: Sum of log-probabilities, ``[K, H, W]``.
        frame: From :class:`SemanticFrames`.
    """
    least = 1e-3  # of classes that are not among the most likely
    evidence = np.full(old.shape, np.log(least), np.float32)
    values = np.log(np.maximum(frame['top_probabilities'], least))
    np.put_along_axis(evidence, frame['top_labels'].astype(np.int64), values, 0)
    return old + evidence


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('frames', nargs='+', type=Path)
    parser.add_argument('--classes', required=True)
    parser.add_argument('--model', help='[the best on this machine]')
    parser.add_argument('--out', type=Path, default=Path('outputs'))
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    segment = SemanticFrames(args.classes, args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    evidence = None
    for path in args.frames:
        arrays = segment(str(path))
        np.savez_compressed(args.out / f'{path.stem}.npz', **arrays)
        shape = (len(arrays['colors']), *arrays['classes'].shape)
        if evidence is None or evidence.shape != shape:
            evidence = np.zeros(shape, np.float32)
        evidence = fuse(evidence, arrays)
        sure = np.bincount(evidence.argmax(0).ravel(), minlength=shape[0])
        print(f'{path.name}: pixels per class so far: {sure.tolist()}')


if __name__ == '__main__':
    main()
