"""Data packets of a LiveKit room: messages, streams and remote calls over the channels of its connection.

Owns: the numbers of reliable packets, and which packet is for whom. Never: the connection, which changes, and the room.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from rtcpeer.calls.host import CallHost
from rtcpeer.calls.livekit.media import LiveKitMedia
from rtcpeer.calls.livekit.rpc import LiveKitRpc
from rtcpeer.calls.livekit.streams import LiveKitStreams
from rtcpeer.errors import NetworkError, NotSupportedError, RTCTimeoutError
from rtcpeer.signaling.livekit.messages import MessageError, models, read_message_untrusted

# The topic of packets that carry text.
TEXT_TOPIC = "rtcpeer.text"
# The largest packet that LiveKit's servers carry, in bytes.
DATA_MAX = 15_000
_STREAM_PARTS = ("stream_header", "stream_chunk", "stream_trailer")
_RPC_PARTS = ("rpc_request", "rpc_ack", "rpc_response")


class LiveKitData:
    """The data packets of one room.

    Args:
        host: gives the call, once it was entered.
        session: gives the connections in force (None while they are made anew), and the sid of our participant.

    Attributes:
        streams: text and byte streams.
        rpc: remote procedure calls.
    """

    def __init__(
        self, host: Callable[[], CallHost], session: Callable[[], tuple[LiveKitMedia | None, str]]
    ) -> None:
        self._host = host
        self._session = session
        self._sequence = 0
        self.streams: LiveKitStreams = LiveKitStreams(
            self._send_packet, self._take_whole, self._spawn, self._ignored
        )
        self.rpc: LiveKitRpc = LiveKitRpc(self._send_packet, self._is_there, self._spawn, self._ignored)

    def begin_anew(self) -> None:
        """Count from the beginning: another session."""
        self._sequence = 0

    def gone(self, identity: str) -> None:
        """Expect nothing more of a participant that has left."""
        self.streams.gone(identity)
        self.rpc.gone(identity)

    def close(self) -> None:
        """End streams and calls."""
        self.streams.close()
        self.rpc.close()

    # -- what arrives ----------------------------------------------------------------------------------

    def take_untrusted(self, data: bytes) -> None:
        """Pass a packet on to whom it is for."""
        host = self._host()
        try:
            packet = read_message_untrusted(models.DataPacket, data)
        except MessageError:
            host.ignored("data packet")
            return
        kind = packet.WhichOneof("value")
        sender = packet.participant_identity or packet.user.participant_identity or None
        if kind == "user":
            payload: str | bytes = packet.user.payload
            if packet.user.topic == TEXT_TOPIC:
                payload = packet.user.payload.decode(errors="replace")
            host.message(sender, payload, packet.user.topic)
        elif kind == "chat_message":
            host.message(sender, packet.chat_message.message)
        elif sender is None or sender not in host.participants:
            host.ignored(f"data packet {kind} of nobody")
        elif kind in _STREAM_PARTS:
            try:
                self.streams.take(sender, packet)
            except MessageError as error:
                host.ignored("stream", error)
        elif kind in _RPC_PARTS:
            self.rpc.take(sender, packet)
        else:
            host.ignored(f"data packet {kind}")

    def _take_whole(self, sender: str, content: Any, topic: str) -> None:
        """A stream that nobody has asked for is a message."""
        host = self._host()
        if sender in host.participants:
            host.message(sender, content, topic)

    def _is_there(self, identity: str) -> bool:
        return identity in self._host().participants

    def _spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> object:
        return self._host().spawn(coroutine, name)

    def _ignored(self, what: str, detail: object) -> None:
        self._host().ignored(what, detail)

    # -- what is sent ----------------------------------------------------------------------------------

    async def send(self, data: Any, to: list[str]) -> None:
        """Send a message to these identities, or to all; one that is too long for a packet goes as a stream."""
        if isinstance(data, str):
            if len(data.encode()) <= DATA_MAX:
                await self.send_data(data, to=to, topic=TEXT_TOPIC)
            else:
                await self.streams.send_text(data, to=to, topic=TEXT_TOPIC)
        elif isinstance(data, bytes) and len(data) > DATA_MAX:
            async with await self.streams.open_bytes(to=to, size=len(data)) as writer:
                await writer.write(data)
        else:
            await self.send_data(data, to=to)

    async def send_data(self, data: Any, *, to: list[str], topic: str = "", reliable: bool = True) -> None:
        """Send a data packet; see `LiveKitRoom.send_data`."""
        if not isinstance(data, (str, bytes)):
            raise NotSupportedError(f"LiveKit carries text and bytes, not {type(data).__name__}")
        payload = data.encode() if isinstance(data, str) else data
        if len(payload) > DATA_MAX:
            raise ValueError(f"a data packet of LiveKit has at most {DATA_MAX} bytes, not {len(payload)}")
        user = models.UserPacket(payload=payload, topic=topic or None, destination_identities=to)
        await self._send_packet(models.DataPacket(user=user), to, reliable=reliable, patient=False)

    async def _send_packet(
        self, packet: models.DataPacket, to: list[str], *, reliable: bool = True, patient: bool = True
    ) -> None:
        """Send a packet of any kind; `patient`: wait while there is no room in the channel."""
        media, sid = self._session()
        packet.destination_identities.extend(to)
        packet.participant_identity = self._host().id
        if reliable:
            self._sequence += 1
            packet.sequence = self._sequence
            packet.participant_sid = sid
        if media is None:
            raise NetworkError("the session is being made anew")
        try:
            await media.send_data(packet.SerializeToString(), reliable=reliable, patient=patient)
        except TimeoutError:
            raise RTCTimeoutError("the channel for data did not open", fault="network") from None
