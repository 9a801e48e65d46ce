"""The bit rates that programs write into aiortc's codec modules, and the encoders that they look for.

    aiortc.codecs.h264.MAX_BITRATE = 8_000_000

is a common way to ask for sharper pictures, as aiortc has no `setParameters`. A sender of the drop-in whose program has
not set parameters takes it as its `maxBitrate`. `MIN_BITRATE` is what its encoder aims at where the path bears less: it
then gets fewer pictures. Where to begin, congestion control says.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from aiortc.codecs import h264, vpx

from rtcpeer.peer.core.transceiver import TransceiverCore
from rtcpeer.values import MediaKind

if TYPE_CHECKING:
    from types import ModuleType

# what aiortc has there by itself: (MIN_BITRATE, DEFAULT_BITRATE, MAX_BITRATE)
_ORIGINALS: dict[str, tuple[ModuleType, int, int, int]] = {
    "video/h264": (h264, 500_000, 1_000_000, 3_000_000),
    "video/vp8": (vpx, 250_000, 500_000, 1_500_000),
}


def limit_of(mime_type: str) -> int | None:
    """The most that a program wants a codec to take, in bit/s; None if it has said nothing."""
    found = _ORIGINALS.get(mime_type.lower())
    if found is None:
        return None
    module, _least, default, most = found
    if most != module.MAX_BITRATE:
        return int(module.MAX_BITRATE)
    # a program that only raises the start means more than aiortc's most
    return int(module.DEFAULT_BITRATE) if max(default, most) < module.DEFAULT_BITRATE else None


def least_of(mime_type: str) -> int | None:
    """The least that a program wants a codec to take, in bit/s; None if it has said nothing."""
    found = _ORIGINALS.get(mime_type.lower())
    if found is None or found[1] == found[0].MIN_BITRATE:
        return None
    return int(found[0].MIN_BITRATE)


def apply(core: TransceiverCore[Any, Any, Any]) -> None:
    """Let a sender's encodings follow the constants; what a program has set itself stays."""
    record = core.record
    if core.kind is not MediaKind.VIDEO or not record.send_codecs or record.stopping:
        return
    if any(e.max_bitrate is not None for e in record.encodings):
        return
    codec = record.send_codecs[0].mime_type
    limit, least = limit_of(codec), least_of(codec)
    if limit is not None or any(e.min_bitrate != least for e in record.encodings):
        _set(core, limit, least)


def set_limit(core: TransceiverCore[Any, Any, Any], limit: int) -> None:
    """Let all encodings of a sender take no more than this, in bit/s each."""
    _set(core, limit, core.record.encodings[0].min_bitrate)


def _set(core: TransceiverCore[Any, Any, Any], most: int | None, least: int | None) -> None:
    encodings = [dataclasses.replace(e, max_bitrate=most, min_bitrate=least) for e in core.record.encodings]
    core.session.carry_out(core.session.engine.operations.plan_set_encodings(core.id, encodings))


class EncoderView:
    """A sender's encoder, as programs look for it in `sender._RTCRtpSender__encoder`."""

    def __init__(self, core: TransceiverCore[Any, Any, Any]) -> None:
        self._core = core


class PictureEncoderView(EncoderView):
    """A sender's encoder of pictures."""

    @property
    def target_bitrate(self) -> int:
        """The bit rate that it aims at; setting it says how much it may take at most, in bit/s."""
        targets = [s["targetBitrate"] for s in self._core.sender_media.stats() if "targetBitrate" in s]
        return sum(int(t) for t in targets if isinstance(t, (int, float)))

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        set_limit(self._core, int(bitrate))
