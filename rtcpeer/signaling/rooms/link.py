"""A client's numbering of frames over changing sockets: what is not acknowledged, what has arrived. Pure.

Owns: the frames that the server has not acknowledged, the number of the last frame that has arrived. Never: a socket, a
clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from rtcpeer.errors import SignalingRefused
from rtcpeer.signaling.rooms.wire import MAX_FRAME, with_number, write_frame

_OVERHEAD: Final = 100
# an acknowledgement is due after so many frames or bytes
_ACK_COUNT: Final = 16
_ACK_BYTES: Final = 65_536


class MemberLink:
    """The frames of one member in both directions, numbered and acknowledged.

    Args:
        bound: bytes that may wait for an acknowledgement.

    Attributes:
        received: the number of the last frame that has arrived.
        written: the number of the last frame that was written to the present socket.
    """

    def __init__(self, bound: int) -> None:
        self.received: int = 0
        self.written: int = 0
        self._bound = bound
        self._waiting: deque[tuple[int, str, Mapping[str, Any]]] = deque()
        self._bytes = 0
        self._seq = 0
        self._acknowledged = 0  # towards the server
        self._arrived_bytes = 0

    def __repr__(self) -> str:
        return f"<Link {len(self._waiting)} frames of {self._bytes} bytes wait, {self.received} received>"

    def __len__(self) -> int:
        """How many frames are not acknowledged."""
        return len(self._waiting)

    def put(self, frame: Mapping[str, Any], *, always: bool = False) -> None:
        """Number a frame and keep it until it is acknowledged. `always`: a short one, whatever waits already.

        Raises:
            ValueError, TypeError: it has no JSON form, or is too large.
            SignalingRefused: too much waits; `retry_after` says when to try again.
        """
        text = write_frame(frame, MAX_FRAME - _OVERHEAD)
        if not always and self._bytes + len(text) + _OVERHEAD > self._bound:
            raise SignalingRefused(
                f"{self._bytes} bytes wait for the room server already; it takes no more at present",
                retry_after=1.0,
                fault="network",
            )
        self._seq += 1
        self._waiting.append((self._seq, with_number(self._seq, text), frame))
        self._bytes += len(text) + _OVERHEAD

    @property
    def oldest(self) -> int:
        """The number of the first frame that is not acknowledged; 0: there is none."""
        return self._waiting[0][0] if self._waiting else 0

    def next_text(self) -> str | None:
        """The next frame for the socket; None: all were written."""
        if self.written >= self._seq or not self._waiting:
            return None
        index = self.written + 1 - self._waiting[0][0]
        if index < 0:  # the server has acknowledged what was not written again yet
            index = 0
        self.written, text, _ = self._waiting[index]
        return text

    def acknowledge(self, seq: int) -> None:
        """The server has accepted everything up to this number."""
        while self._waiting and self._waiting[0][0] <= seq:
            self._bytes -= len(self._waiting.popleft()[1]) + _OVERHEAD

    def resume(self, received: int) -> None:
        """A new socket: what the server has not accepted is written again."""
        self.acknowledge(received)
        self.written = min(received, self._seq)
        self._acknowledged = self.received

    def restart(self) -> list[Mapping[str, Any]]:
        """Begin anew, as another member; returns the frames that the server may not have accepted."""
        lost = [frame for _, _, frame in self._waiting]
        self._waiting.clear()
        self._bytes = self._seq = self.received = self.written = self._acknowledged = 0
        return lost

    def misses(self, seq: int | None) -> bool:
        """Whether frames are missing before the one with this number."""
        return seq is not None and seq > self.received + 1

    def arrive(self, seq: int | None, size: int) -> bool:
        """A frame has arrived, and none is missing before it; whether it is new. Those without a number always are."""
        if seq is None:
            return True
        if seq <= self.received:
            return False
        self.received = seq
        self._arrived_bytes += size
        return True

    @property
    def owes(self) -> bool:
        """Whether something has arrived that was not acknowledged."""
        return self.received > self._acknowledged

    @property
    def owes_now(self) -> bool:
        """Whether so much has arrived that the server must hear of it at once."""
        return self.received - self._acknowledged >= _ACK_COUNT or self._arrived_bytes >= _ACK_BYTES

    def acknowledgement(self) -> str:
        """The frame that acknowledges what has arrived."""
        self._acknowledged = self.received
        self._arrived_bytes = 0
        return f'{{"type":"ack","seq":{self.received}}}'
