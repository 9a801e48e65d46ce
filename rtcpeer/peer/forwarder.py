"""Forwarder: one receiver's media sent on by many senders as they came, without decoding.

A thin face over `media.relaying`; nothing is stored here but who forwards what.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rtcpeer.errors import InvalidStateError, RTCRangeError
from rtcpeer.media.relaying import Relay
from rtcpeer.peer import rtp
from rtcpeer.peer import rtp_sender as rtpsender
from rtcpeer.peer.errors import w3c_errors
from rtcpeer.peer.rtp import RTCRtpReceiver
from rtcpeer.peer.rtp_sender import RTCRtpSender


class ForwarderOutput:
    """One output of a `Forwarder`: the media that one sender gets. Made by `Forwarder.add`."""

    def __init__(self, sender: RTCRtpSender, relay: Relay) -> None:
        self._sender = sender
        self._relay = relay

    @property
    def sender(self) -> RTCRtpSender:
        """The sender that forwards."""
        return self._sender

    @property
    def paused(self) -> bool:
        """Whether nothing is sent; setting it to False goes on with the next key frame, without a gap in numbers."""
        return self._relay.paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._relay.paused = bool(value)

    @property
    def layer(self) -> str | None:
        """The rid of the simulcast layer that is wanted; None for the best one that the subscriber's path bears.

        Changing it takes effect at the next key frame of that layer, which is asked for; until then the former layer
        goes on. A layer that is silent is replaced by another one as long as it is.

        Raises:
            TypeError: (setting) neither a string nor None.
        """
        return self._relay.layer

    @layer.setter
    def layer(self, value: str | None) -> None:
        if value is not None and not isinstance(value, str):
            raise TypeError(f"layer must be the rid of a simulcast layer or None, not {value!r}")
        self._relay.layer = value

    @property
    def temporalLayer(self) -> int | None:
        """The highest temporal layer that is sent, counted from 0. Setting it is allowed at any time.

        None for as many as the way to the subscriber bears where `layer` is None, too, and for all where it is not; a
        number is kept to whatever the way bears (7 for all).

        Pictures of higher layers are left out, without a gap in numbers: of "L1T3", 0 leaves a quarter of the pictures
        and 1 a half. Fewer layers begin with the next picture, more of them where the publisher's stream allows it; no
        key frame is asked for. Layers are read from the dependency descriptor, or from the payload of VP8, VP9 and
        H.265; streams that name none have only layer 0.

        Raises:
            TypeError: (setting) neither an integer nor None.
            RTCRangeError: (setting) negative.
        """
        return self._relay.temporal_layer

    @temporalLayer.setter
    @w3c_errors
    def temporalLayer(self, value: int | None) -> None:
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"temporalLayer must be an integer or None, not {value!r}")
        if value is not None and value < 0:
            raise RTCRangeError(f"temporalLayer counts from 0; it cannot be {value}")
        self._relay.temporal_layer = value

    def stats(self) -> Mapping[str, Any]:
        """Counters of what was sent so far, for tables and tests; the W3C statistics are those of the sender.

        Returns:
            packets, bytes (of payload), frames, retransmittedPackets, retransmittedBytes, keyFrameRequests (by the
            subscriber); layer (the rid that is sent now, or None), layers (those that arrive, smallest first),
            temporalLayer (as set), currentTemporalLayer (the highest that is sent now, or None for all), waiting (for a
            key frame), lost (packets that the subscriber reports lost), missing (packets that never arrived here),
            estimate (bit/s or None), roundTripTime (s or None), paused.
        """
        return {**self._relay.stats(), "paused": self._relay.paused}

    def __repr__(self) -> str:
        state = "paused" if self.paused else f"layer {self._relay.current_layer or self.layer or 'any'}"
        return f"<ForwarderOutput to {self._sender!r}, {state}>"


class Forwarder:
    """Sends what a receiver gets to any number of senders, without decoding it.

    Only headers are rewritten: SSRC, sequence numbers, times, payload types, mid, header extensions, and the picture
    ids of VP8. Lost packets are repeated from a history that all senders share; key frames are asked for on behalf of
    all, at most one in 0.5 s and layer. Codecs have to be negotiated in common: packets of a codec that a sender has
    not negotiated are not sent there::

        forwarder = Forwarder(publisher_receiver)
        transceiver = subscriber.addTransceiver("video", direction="sendonly")
        output = forwarder.add(transceiver.sender)

    Args:
        source: the receiver whose media is forwarded.

    Raises:
        TypeError: it is no receiver.
    """

    def __init__(self, source: RTCRtpReceiver) -> None:
        self._source = _check_receiver(source)
        self._outputs: dict[RTCRtpSender, ForwarderOutput] = {}

    @property
    def source(self) -> RTCRtpReceiver:
        """The receiver whose media is forwarded; setting another one switches every output at its next key frame.

        Sequence numbers and times go on over the switch, and until the key frame the former source goes on.

        Raises:
            TypeError: (setting) it is no receiver, or one of another kind.
        """
        return self._source

    @source.setter
    def source(self, value: RTCRtpReceiver) -> None:
        receiver = _check_receiver(value)
        kind, wanted = rtp.core_of(receiver).kind, rtp.core_of(self._source).kind
        if kind is not wanted:
            raise TypeError(f"a forwarder of {wanted.value} cannot forward {kind.value}")
        self._source = receiver
        media = rtp.core_of(receiver).receiver_media
        for output in self._outputs.values():
            output._relay.switch(media)

    @property
    def outputs(self) -> list[ForwarderOutput]:
        """The outputs, one per sender, in the order in which they were added, without those of closed connections."""
        return list(self._outputs.values())

    @w3c_errors
    def add(self, sender: RTCRtpSender, *, layer: str | None = None) -> ForwarderOutput:
        """Forward to a sender too, in place of its track; from the next key frame on, which is asked for.

        Args:
            sender: of the same kind, for example of ``addTransceiver(kind, direction="sendonly")``. It may be
                negotiated later.
            layer: the rid of a simulcast layer; None for the best one that the path bears.

        Raises:
            TypeError: it is no sender, or one of another kind.
            InvalidStateError: the sender's transceiver is stopped, or the forwarder has it already.
        """
        if not isinstance(sender, RTCRtpSender):
            raise TypeError(f"add() takes an RTCRtpSender, not {type(sender).__name__}")
        core, source = rtpsender.core_of(sender), rtp.core_of(self._source)
        if core.kind is not source.kind:
            raise TypeError(f"a sender of {core.kind.value} cannot forward {source.kind.value}")
        if core.record.stopping or core.session.closed:
            raise InvalidStateError("the sender is stopped: nothing can be forwarded with it")
        if sender in self._outputs:
            raise InvalidStateError("the forwarder has this sender already")
        relay = core.sender_media.forward(source.receiver_media, layer)
        output = self._outputs[sender] = ForwarderOutput(sender, relay)
        # who has left is not kept
        relay.on_close = lambda: self._forget(output)
        return output

    def _forget(self, output: ForwarderOutput) -> None:
        if self._outputs.get(output.sender) is output:
            del self._outputs[output.sender]

    def remove(self, output: ForwarderOutput | RTCRtpSender) -> None:
        """Forward no longer to a sender; if it has a track, it sends that again. Unknown ones are ignored."""
        sender = output.sender if isinstance(output, ForwarderOutput) else output
        known = self._outputs.pop(sender, None)
        if known is not None:
            rtpsender.core_of(sender).sender_media.stop_forwarding(known._relay)

    def close(self) -> None:
        """Forward to nobody any more. Senders and receivers go on."""
        for output in self.outputs:
            self.remove(output)

    def __repr__(self) -> str:
        return f"<Forwarder of {self._source!r} to {len(self._outputs)} senders>"


def _check_receiver(value: RTCRtpReceiver) -> RTCRtpReceiver:
    if not isinstance(value, RTCRtpReceiver):
        raise TypeError(f"a forwarder takes an RTCRtpReceiver, not {type(value).__name__}")
    return value
