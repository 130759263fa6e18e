"""Measure how well ids stay with objects: STQ and VPQ on drawn videos.

    python tools/analysis_tools/benchmark_video.py
    python tools/analysis_tools/benchmark_video.py --num-videos 5 --out quality.json

The frames are segmented once and tracked in four ways: with and without embeddings of
regions, by the segments of the model and by the true ones. The table is Markdown.
"""

import argparse

from mmovseg.command_line import exit_on_error, output_file, pick_device

COLUMNS = ('STQ', 'AQ', 'SQ', 'VPQ', 'VPQ-1', 'VPQ-6', 'tracks per true one')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='tiny', help='that knows ShapeWorld [tiny]')
    parser.add_argument('--seed', type=int, default=100, help='of the videos [100]')
    parser.add_argument('--num-videos', type=int, default=20, help='[20]')
    parser.add_argument('--num-frames', type=int, default=48, help='of each [48]')
    parser.add_argument('--size', type=int, default=192, help='of a frame [192]')
    parser.add_argument('--out', type=output_file, help='write all metrics as JSON')
    parser.add_argument('--device', help='[cuda, or cpu without a GPU]')
    args = parser.parse_args()
    for name in ('num_videos', 'num_frames'):
        if getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1.')
    args.device = pick_device(args.device)
    return args


if __name__ == '__main__':
    parse_args()  # --help and mistakes should not wait for the imports

from mmovseg.analysis.run_card import describe_place, write_card
from mmovseg.analysis.video_tracking import measure_tracking
from mmovseg.apis import OVSegInferencer


def main():
    args = parse_args()
    with exit_on_error():
        inferencer = OVSegInferencer(
            args.model, device=args.device, show_progress=False
        )
        rows = measure_tracking(
            inferencer,
            seed=args.seed,
            num_videos=args.num_videos,
            num_frames=args.num_frames,
            size=args.size,
            show_progress=True,
        )
    print(f'| | {" | ".join(COLUMNS)} |\n|---|{"---|" * len(COLUMNS)}')
    for name, row in rows.items():
        print(f'| {name} | {" | ".join(f"{row[x]:.1f}" for x in COLUMNS)} |')
    if args.out:
        settings = dict(vars(args), out=str(args.out))
        write_card(args.out, dict(settings=settings, rows=rows, **describe_place()))


if __name__ == '__main__':
    main()
