"""Video files for tests, written with PyAV."""

from fractions import Fraction

import numpy as np


def write_video(
    path,
    shades=range(8, 248, 10),
    *,
    size=(64, 48),
    rate=Fraction(25),
    times=None,
    codec='libx264',
    options=None,
):
    """Write a frame per shade of gray, red in the upper left quarter."""
    import av

    with av.open(str(path), 'w', options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for index, shade in enumerate(shades):
            rgb = np.full((size[1], size[0], 3), shade, np.uint8)
            rgb[: size[1] // 2, : size[0] // 2] = 255, 0, 0
            frame = av.VideoFrame.from_ndarray(rgb, 'rgb24')
            if times is not None:
                frame.pts, frame.time_base = times[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_sound(path, codec='aac'):
    """Write a file of sound alone."""
    import av

    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), 'fltp', 'mono'
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def turn(path, degrees=90):
    """Say in an MP4 that its frames are to be turned, as telephones do."""
    content = bytearray(path.read_bytes())
    # The matrix of the track header: a, b, u, c, d, v, x, y, w in 16.16 and 2.30.
    start = content.index(b'tkhd') + 4 + 40
    one = 1 << 16
    values = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0)}[degrees]
    for index, value in enumerate(values):
        at = start + 4 * index
        content[at : at + 4] = value.to_bytes(4, 'big', signed=True)
    path.write_bytes(content)
