"""Orientation of pictures: the header extension ``urn:3gpp:video-orientation`` (3GPP TS 26.114 section 7.4.5).

A phone sends its pictures as the camera gives them and says how to turn them; who shows them turns them. The
extension's two lowest bits are quarter turns clockwise; camera and mirroring (bits 3 and 2) are not looked at,
as browsers do not.
Owns: the filter that turns. Never: what is sent when.
"""

from __future__ import annotations

import fractions

from av import VideoFrame
from av.filter import Graph

# by quarter turns clockwise
_FILTERS = ((), (("transpose", "clock"),), (("hflip", None), ("vflip", None)), (("transpose", "cclock"),))
_TIME_BASE = fractions.Fraction(1, 90000)


def quarter_turns(frame: VideoFrame) -> int:
    """How often a frame is to be turned clockwise to be upright, as its display matrix says."""
    # libav counts degrees counter-clockwise, from -180 to 180
    return -round(frame.rotation / 90) % 4


class Turner:
    """Turns pictures; what is the same from one picture to the next is kept. For one thread at a time."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._graph: Graph | None = None

    def turn(self, frame: VideoFrame, turns: int) -> VideoFrame:
        """The frame, turned clockwise by quarters, with its time."""
        if not turns % 4:
            return frame
        key = (frame.width, frame.height, frame.format.name, turns % 4)
        if self._graph is None or key != self._key:
            self._graph, self._key = _graph(frame, turns % 4), key
        self._graph.push(frame)
        turned = self._graph.pull()
        assert isinstance(turned, VideoFrame)
        turned.pts = frame.pts
        if frame.time_base is not None:
            turned.time_base = frame.time_base
        return turned


def _graph(frame: VideoFrame, turns: int) -> Graph:
    graph = Graph()
    nodes = [
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or _TIME_BASE,
        )
    ]
    nodes += [graph.add(name, arguments) for name, arguments in _FILTERS[turns]]
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    return graph
