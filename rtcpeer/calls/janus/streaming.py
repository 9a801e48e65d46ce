"""A mountpoint of Janus' Streaming plugin as a call, "janus+ws://host:8188/?stream=1": a viewer.

Owns: what is watched. The one participant is the mountpoint. The name of a track is the label that the mountpoint's
configuration gives it, else its kind.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.janus.channels import HandleChannel, Stream, SubscriberChannel
from rtcpeer.calls.janus.plugin import JanusPlugin
from rtcpeer.calls.janus.session import JanusHandle
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NetworkError

_SECTIONS_MAX: Final = 64


class JanusStreaming(JanusPlugin):
    """A viewer of a mountpoint; see `CallService`.

    Args:
        request: its URL names the mountpoint (``?stream=1``) and perhaps a ``pin``. The option `api_secret` is as
            Janus is configured.

    Raises:
        ValueError: the URL names no mountpoint.

    Attributes:
        mountpoint: its id.
    """

    plugin: ClassVar[str] = "janus.plugin.streaming"
    what: ClassVar[str] = "a mountpoint of Janus"

    def __init__(self, request: JoinRequest) -> None:
        url, taken = request.take("stream", "pin")
        super().__init__(request, url)
        if not taken.get("stream"):
            raise ValueError("the URL names the mountpoint of Janus: janus+ws://host:8188/?stream=1")
        self.mountpoint: int | str = int(taken["stream"]) if taken["stream"].isdecimal() else taken["stream"]
        self._pin = taken.get("pin")
        self._info: dict[str, Any] = {}
        self._tracks: ArrivingTracks | None = None

    @property
    def info(self) -> dict[str, Any]:
        """The mountpoint as Janus describes it: description, metadata, media; a copy."""
        return dict(self._info)

    def prepare(self) -> tuple[HandleChannel, Any]:
        """Implements `JanusPlugin.prepare`."""
        channel = SubscriberChannel(
            self.renew, restart=lambda: {"request": "watch", "id": self.mountpoint, "restart": True}
        )
        peer = self.host.supervise(channel)
        self._tracks = ArrivingTracks(peer, self._subscribe, self.host.track_unsubscribed)
        peer.addEventListener("datachannel", lambda event: self._listen(event.channel))
        return channel, peer

    async def begin(self, handle: JanusHandle) -> None:
        """Implements `JanusPlugin.begin`."""
        assert isinstance(self.channel, SubscriberChannel)
        self._info = await self._ask_info(handle)
        body: dict[str, Any] = {"request": "watch", "id": self.mountpoint}
        if self._pin is not None:
            body["pin"] = self._pin
        data, jsep = await handle.ask(body)
        if jsep is None:
            raise NetworkError("Janus has not offered the mountpoint", fault="remote")
        self.host.entered("viewer")
        description = self._info.get("description")
        self.host.participant_joined(
            str(self.mountpoint), description if isinstance(description, str) else None
        )
        self.channel.take_over(handle)
        self.take_event(handle, data, jsep)

    async def _ask_info(self, handle: JanusHandle) -> dict[str, Any]:
        said, _ = await handle.ask({"request": "info", "id": self.mountpoint})
        info = said.get("info")
        return info if isinstance(info, dict) else {}

    def take_event(self, handle: JanusHandle, data: dict[str, Any], jsep: dict[str, Any] | None) -> None:
        """Implements `JanusPlugin.take_event`."""
        if not isinstance(self.channel, SubscriberChannel) or handle is not self.channel.handle:
            return
        if jsep is not None and jsep.get("type") == "offer":
            mids = re.findall(r"^a=mid:(\S+)", jsep["sdp"], re.MULTILINE)[:_SECTIONS_MAX]
            feed = str(self.mountpoint)
            sections = {mid: Stream(feed, mid, "", number) for number, mid in enumerate(mids, 1)}
            self.channel.offer(jsep["sdp"], sections)
        result = data.get("result")
        status = result.get("status") if isinstance(result, dict) else None
        if status == "stopped" and handle is self.channel.handle and not self.session.is_closed:
            self.host.ended(EndReason.ROOM_CLOSED)

    def connected(self) -> None:
        """Implements `JanusPlugin.connected`."""
        if isinstance(self.channel, SubscriberChannel):
            self.channel.connected()

    async def mountpoints(self) -> list[dict[str, Any]]:
        """The mountpoints that Janus lists; raises as `ask`."""
        found = (await self.ask("list")).get("list")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    async def pause(self) -> None:
        """Get nothing until `resume`; raises as `ask`."""
        await self.ask("pause")

    async def resume(self) -> None:
        """Go on; raises as `ask`."""
        await self.ask("start")

    async def switch(self, mountpoint: int | str) -> None:
        """Watch another mountpoint of the same kinds over the same tracks; raises as `ask`."""
        await self.ask("switch", id=mountpoint)
        self.mountpoint = mountpoint

    def _subscribe(self, event: Any) -> tuple[str, str] | None:
        id_ = next(iter(self.host.participants), str(self.mountpoint))
        name = self.host.track_subscribed(id_, self._label(event) or event.track.kind, event.track)
        return None if name is None else (id_, name)

    def _label(self, event: Any) -> str:
        media = self._info.get("media")
        for one in media if isinstance(media, list) else ():
            if isinstance(one, dict) and str(one.get("mid")) == str(event.transceiver.mid):
                return str(one.get("label") or "")
        return ""

    def _listen(self, channel: Any) -> None:
        channel.addEventListener("message", lambda event: self.host.message(None, event.data))
