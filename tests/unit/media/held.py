"""Pictures of a phone: they say how they are to be turned, and their corners tell whether they were."""

from __future__ import annotations

import io

import av
import pytest

from tests.unit.media.rig import Pictures

# brightness of the four quarters of a picture
CORNERS = (40, 90, 140, 190)


def corners(frame) -> tuple[int, ...]:
    """The brightness in the corners: top left, top right, bottom left, bottom right."""
    plane = frame.planes[0]
    data, step = bytes(plane), plane.line_size
    return tuple(
        data[y * step + x] for y in (8, frame.height - 9) for x in (8, frame.width - 9)
    )  # not at the very edge, where codecs are worst


def held(degrees: int) -> av.VideoFrame:
    """A picture of 96 x 64 from a file that says how it is held, as a phone writes it."""
    frame = av.VideoFrame(96, 64, "yuv420p")
    for index, plane in enumerate(frame.planes):
        rows = bytearray((128,) * plane.buffer_size)
        if index == 0:
            for y in range(64):
                for half in (0, 1):
                    value = CORNERS[half + (2 if y >= 32 else 0)]
                    at = y * plane.line_size + half * 48
                    rows[at : at + 48] = bytes((value,) * 48)
        plane.update(bytes(rows))
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("PyAV cannot make such a file here")
        stream.set_display_rotation(degrees)
        frame.pts = 0
        container.mux(stream.encode(frame) + stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return next(container.decode(video=0))


class Held(Pictures):
    """Pictures of a phone that is held so."""

    def __init__(self, degrees: int) -> None:
        super().__init__(96, 64)
        self.picture = held(degrees)

    async def recv(self):
        frame = await super().recv()
        self.picture.pts, self.picture.time_base = frame.pts, frame.time_base
        return self.picture
