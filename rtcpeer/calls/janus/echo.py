"""The EchoTest of Janus as a call, "janus+ws://host:8188/?echo": what is published and said comes back.

Owns: the offers of one connection. The one participant is "echo"; a track that comes back has the name under which it
was published. A good test of a path to Janus, of its recordings and of bitrates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from rtcpeer.calls.janus.channels import EchoChannel, HandleChannel
from rtcpeer.calls.janus.plugin import LABEL, JanusPlugin
from rtcpeer.calls.janus.session import JanusHandle
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NotSupportedError
from rtcpeer.supervisor.intents import SupervisedSender

ECHO: Final = "echo"


class JanusEchoTest(JanusPlugin):
    """An EchoTest; see `CallService`.

    Args:
        request: its URL has the member ``echo``. The option `api_secret` is as Janus is configured.
    """

    plugin: ClassVar[str] = "janus.plugin.echotest"
    what: ClassVar[str] = "the EchoTest of Janus"

    def __init__(self, request: JoinRequest) -> None:
        url, _ = request.take("echo")
        super().__init__(request, url)
        self._settings: dict[str, Any] = {"audio": True, "video": True}
        self._senders: dict[Publication, SupervisedSender] = {}
        self._data: Any = None

    def prepare(self) -> tuple[HandleChannel, Any]:
        """Implements `JanusPlugin.prepare`."""
        channel = EchoChannel(lambda: dict(self._settings), self._numbers)
        peer = self.host.supervise(channel)
        ArrivingTracks(peer, self._subscribe, self.host.track_unsubscribed)
        self._data = peer.createDataChannel(LABEL)
        self._data.addEventListener("message", self._take_message)
        return channel, peer

    async def begin(self, handle: JanusHandle) -> None:
        """Implements `JanusPlugin.begin`."""
        assert isinstance(self.channel, EchoChannel)
        former = self.channel.handle
        self.channel.use(handle)
        self.host.entered(ECHO if self.host.name is None else self.host.name)
        self.host.participant_joined(ECHO, ECHO)
        if former is not None:
            self.peer.recreate()

    def take_event(self, handle: JanusHandle, data: dict[str, Any], jsep: dict[str, Any] | None) -> None:
        """Implements `JanusPlugin.take_event`; what the plugin says beside its answers is of no use."""

    def hung_up(self, handle: JanusHandle, reason: str) -> None:
        """Implements `JanusPlugin.hung_up`."""
        if isinstance(self.channel, EchoChannel) and handle is self.channel.handle:
            self.channel.hung_up()

    async def configure(self, **settings: Any) -> None:
        """Change what Janus does: audio, video (whether they come back), bitrate (bit/s), record, filename.

        Raises:
            SignalingRefused: Janus refuses it.
            NetworkError, RTCTimeoutError: nobody answers.
        """
        await self.handle.ask(settings)
        self._settings.update(settings)

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        self._senders[publication] = self.peer.addTrack(publication.track)
        if publication.muted:
            await self._senders[publication].replaceTrack(None)

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        sender = self._senders.pop(publication, None)
        if sender is not None:
            self.peer.removeTrack(sender)

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        sender = self._senders.get(publication)
        if sender is not None:
            await sender.replaceTrack(None if publication.muted else publication.track)

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Refuse: there is no metadata."""
        raise NotSupportedError(f"{self.what} carries no metadata")

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`. Text comes back with a word of Janus before it."""
        if not isinstance(data, (str, bytes)):
            raise NotSupportedError(f"this service carries text and bytes, not {type(data).__name__}")
        self._data.send(data)

    def _take_message(self, event: Any) -> None:
        self.host.message(ECHO, event.data)

    def _numbers(self) -> dict[str, int]:
        sections = ((getattr(s.transceiver, "mid", None), s.number) for s in self._senders.values())
        return {mid: number for mid, number in sections if mid is not None}

    def _subscribe(self, event: Any) -> tuple[str, str] | None:
        name = next((p.name for p, s in self._senders.items() if s.transceiver is event.transceiver), None)
        known = self.host.track_subscribed(ECHO, name or event.track.kind, event.track)
        return None if known is None else (ECHO, known)
