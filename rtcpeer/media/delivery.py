"""FrameDelivery: whole frames of one section go to the decoder of its track, and to who reads encoded frames.

Of several streams of a section one is shown. Its frames are decoded only while somebody reads the track; a picture that
cannot be decoded without a lost one is dropped, and a key frame is asked for.
Owns: which stream is shown, the time line of the track, the transform and readers of encoded frames, the decoder.
Never: packets, what is sent to the other end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from av.frame import Frame

from rtcpeer.aio import wall_time
from rtcpeer.media.codecs import PayloadFormat
from rtcpeer.media.decoding import DecodeJob, DecodeQueue
from rtcpeer.media.encoded_receiving import EncodedReceiving, ReceivedFrame
from rtcpeer.media.frames import is_keyframe
from rtcpeer.media.track import RemoteTrack
from rtcpeer.media.video import choice
from rtcpeer.rtp.inbound import InboundStream
from rtcpeer.rtp.jitter_buffer import EncodedFrame
from rtcpeer.rtp.sound_buffer import Loss
from rtcpeer.rtp.timeline import TrackTimeline

logger = logging.getLogger(__name__)

# Of several streams of one section (simulcast, a new SSRC) one is shown; another one when it has been silent
# for this long.
SWITCH_AFTER = 0.5
# The largest picture that is decoded, if nobody says otherwise; in either orientation.
PICTURE_MAX = (4096, 2304)
# A sender whose pictures are too large is not asked for another key frame sooner than this.
OVERSIZED_PAUSE = 5.0


class FrameDelivery:
    """Gives the frames of one section to those who want them.

    Args:
        kind: "audio" or "video".
        sink: the remote track.
        need_keyframe: asks the sender of a stream for a key frame, unless one is on its way.
        send_pli: asks for one in any case.
        request_keyframe: asks the senders of all streams.
        picture_max: longer and shorter side of the largest picture that is decoded; larger ones are dropped.
        name: for logs.

    Attributes:
        sink: the track that gets what was decoded.
        shown: the stream whose frames it gets; None before the first frame.
        encoded: the transform and the readers of encoded frames.
    """

    def __init__(
        self,
        kind: str,
        sink: RemoteTrack,
        *,
        need_keyframe: Callable[[InboundStream, float], None],
        send_pli: Callable[[InboundStream, float], None],
        request_keyframe: Callable[[], None],
        picture_max: tuple[int, int] = PICTURE_MAX,
        name: str = "",
    ) -> None:
        self.sink: RemoteTrack = sink
        self.shown: InboundStream | None = None
        self.encoded: EncodedReceiving = EncodedReceiving(kind, self._deliver, request_keyframe)
        self._is_video = kind == "video"
        self._need_keyframe = need_keyframe
        self._send_pli = send_pli
        self._picture_max = max(picture_max), min(picture_max)
        self._name = name
        self._timeline = TrackTimeline()
        self._decoder = DecodeQueue(picture_max[0] * picture_max[1], self._show, self._on_failure, name=name)
        # frames were read without being decoded: decoding begins with a key frame
        self._decoder_idle = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody reads frames, decoded or encoded."""
        return self.sink.wants_frames() or self.encoded.is_read

    def set_sink(self, sink: RemoteTrack) -> None:
        """Give the frames to another track from now on."""
        self.sink = sink

    def hide(self, stream: InboundStream) -> None:
        """A stream is over, for now: if it is shown, the next one that has a frame takes its place."""
        if stream is self.shown:
            self.shown = None

    def clear(self) -> None:
        """Drop the frames that wait for the decoder."""
        self._decoder.clear()

    def stop(self) -> list[asyncio.Future[Any]]:
        """Deliver nothing more; gives what is still ending."""
        decoding = self._decoder.stop()
        ending = self.encoded.stop()
        return ending if decoding is None else [*ending, decoding]

    # -- frames that come --------------------------------------------------------------------------

    def take_loss(self, stream: InboundStream, form: PayloadFormat, loss: Loss, now: float) -> None:
        """Sound that was lost: something takes its place, so that it is no hole."""
        # nothing is made up for who does not listen, nor before anything was heard
        if stream.needs_keyframe or stream is not self.shown:
            return
        if not self.sink.wants_frames() or self._decoder.is_full:
            return
        time = self._timeline.map(stream.ssrc, loss.timestamp, stream.clock_rate, now)
        self._decoder.push(DecodeJob(stream, form, b"", time, is_key=False, lost=loss.ticks))

    def take(self, stream: InboundStream, form: PayloadFormat, frame: EncodedFrame, now: float) -> bool:
        """A whole frame came; False if it is of the stream that is shown, and nobody wants it."""
        for packet in frame.packets:
            if packet.turns is not None:
                stream.turns = packet.turns
        if not self.is_shown(stream, now):
            stream.needs_keyframe = True
            stream.rendering.interrupt()
            return True
        if not self.is_wanted:
            stream.needs_keyframe = True
            stream.rendering.interrupt()
            return False
        try:
            data = choice.depacketize(form.name, [p.payload for p in frame.packets if p.payload])
        except ValueError as exc:
            logger.debug("%s cannot read a frame: %s", self._name, exc)
            data = b""
        received = ReceivedFrame(stream, form, data, stream.presentation, stream.turns, frame)
        if self.encoded.transform is not None and data:
            self.encoded.take(received, is_key=is_keyframe(form.name, data))
        else:
            self._deliver(received)
        return True

    def is_shown(self, stream: InboundStream, now: float) -> bool:
        """Whether the track gets the frames of this stream; a silent one gives way to it."""
        shown = self.shown
        if stream is shown:
            return True
        # sound has no layers: what begins while another stream is shown follows it
        follows = not self._is_video and shown is not None and stream.first_packet_at > shown.first_packet_at
        if shown is not None and not follows and now - shown.last_packet_at < SWITCH_AFTER:
            return False
        self.shown = stream
        return True

    # -- to readers and the decoder ----------------------------------------------------------------

    def _deliver(self, received: ReceivedFrame) -> None:
        """Decode a frame, and give it to those who read encoded ones, if it is of use."""
        stream, form, data, _presentation, turns, source = received
        now = wall_time()
        is_video = self._is_video
        try:
            if is_video and self._is_oversized(stream, form, data):
                stream.needs_keyframe = True
                stream.frames_dropped += 1
                stream.pli_at = now + OVERSIZED_PAUSE
                return
        except ValueError as exc:
            logger.debug("%s cannot read a frame: %s", self._name, exc)
            data = b""
        if is_video and data:
            if choice.is_configuration(form.name, data):
                stream.keep_configuration(data)
                return
            data = stream.take_configuration() + data
        is_key = is_keyframe(form.name, data)
        if (is_video and not data) or (stream.needs_keyframe and not is_key):
            stream.needs_keyframe = True
            stream.frames_dropped += 1
            self.encoded.lose()
            self._need_keyframe(stream, now)
            return
        stream.needs_keyframe = False
        time = self._timeline.map(stream.ssrc, source.timestamp, stream.clock_rate, source.received_at)
        if self.encoded.is_read:
            self.encoded.push(received._replace(data=data, presentation=time), is_key=is_key)
            if is_video and self.encoded.needs_keyframe:
                # what was asked for may have been lost
                self._need_keyframe(stream, now)
            if not self.sink.wants_frames():
                self._decoder_idle = True
                stream.rendering.interrupt()
                return
            if self._decoder_idle and is_video and not is_key:
                self._send_pli(stream, now)
                return
        self._decoder_idle = False
        job = DecodeJob(stream, form, data, time, is_key, turns)
        job.received_at, job.assembly = source.received_at, source.assembly
        self._decode(job, now)

    def _decode(self, job: DecodeJob, now: float) -> None:
        stream, decoder = job.stream, self._decoder
        if now < decoder.resumes_at:
            stream.frames_dropped += 1
            stream.needs_keyframe = self._is_video
            stream.pli_at = decoder.resumes_at
            return
        if decoder.is_full:
            # the decoder is too slow: skip to a key frame, which is the only honest way to catch up
            stream.frames_dropped += decoder.clear()
            stream.needs_keyframe = self._is_video and not job.is_key
            if stream.needs_keyframe:
                self._send_pli(stream, now)
                return
        decoder.push(job)

    def _is_oversized(self, stream: InboundStream, form: PayloadFormat, data: bytes) -> bool:
        """Whether a picture is larger than what is decoded: a few bytes can ask for gigabytes."""
        size = choice.picture_size(form.name, data)
        if size is None or (max(size) <= self._picture_max[0] and min(size) <= self._picture_max[1]):
            return False
        if not stream.oversized_frames:
            logger.warning("%s drops pictures of %d x %d, above the limit", self._name, *size)
        stream.oversized_frames += 1
        return True

    # -- from the decoder --------------------------------------------------------------------------

    def _show(self, frame: Frame) -> None:
        self.sink.push_frame(frame)

    def _on_failure(self, stream: InboundStream) -> None:
        """A frame could not be decoded: what refers to it cannot be, either."""
        if self._is_video:
            stream.needs_keyframe = True
            self._send_pli(stream, wall_time())
