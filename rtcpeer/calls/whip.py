"""WHIP and WHEP endpoints as calls: "whip+https://host/whip/cam" publishes, "whep+https://host/whep/cam" receives.

Owns: the supervised peer of the one session. Never: the requests (`rtcpeer.signaling`). There is no message and no
metadata. A session of WHIP carries one offer (RFC 9725 section 4.2): what is published within a moment goes out
together, and a later change ends the session and begins the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MENDING, CallHost
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.remote import ArrivingTracks
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import InvalidStateError, NetworkError, NotSupportedError, RTCTimeoutError
from rtcpeer.signaling import WhepClient, WhipClient
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

# How long more tracks are waited for before the offer, in seconds.
_TOGETHER: Final = 0.1
PUBLISHER: Final = "publisher"


class _WhipClient(WhipClient):
    """A WHIP client that tells when the endpoint does not answer; the supervised peer asks again."""

    tell: Callable[[Exception], None]

    async def send(self, message: Any, /) -> None:
        try:
            await super().send(message)
        except (NetworkError, RTCTimeoutError) as error:
            self.tell(error)
            raise


class _WhepClient(_WhipClient, WhepClient):
    """A WHEP client that tells the call of its failures."""


class _Endpoint:
    """Base of WHIP and WHEP: a request without further options, one peer, how it ends."""

    _host: CallHost

    def __init__(self, request: JoinRequest) -> None:
        request.check_options()
        self._request = request
        self._peer: SupervisedPeer | None = None

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Refuse: there is no metadata."""
        raise NotSupportedError("WHIP and WHEP carry no metadata")

    async def send(self, _data: Any, _to: Participant | None) -> None:
        """Refuse: there are no messages."""
        raise NotSupportedError("WHIP and WHEP carry no messages")

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        if self._peer is not None:
            await self._peer.close()

    def _supervise(self, client: _WhipClient) -> SupervisedPeer:
        """A peer whose endpoint may not answer: that is told, and asking goes on."""

        def tell(error: Exception) -> None:
            if peer.state is PeerState.NEW:
                self._host.trouble = error
                self._host.reconnecting("signaling")

        client.tell = tell
        peer = self._host.supervise(client)
        peer.addEventListener("signalingerror", lambda event: tell(event.error))
        return peer

    def _watch(self, peer: SupervisedPeer) -> None:
        self._peer = peer
        peer.addEventListener("statechange", self._on_state)
        self._host.spawn(self._until_closed(peer), "end of the session", vital=True)

    def _on_state(self, event: Any) -> None:
        if event.state in MENDING:
            self._host.reconnecting(event.reason)
        elif event.state == PeerState.CONNECTED:
            self._host.reconnected()

    async def _until_closed(self, peer: SupervisedPeer) -> None:
        try:
            await peer.closed()
        except GaveUp as error:
            reason = EndReason.CONNECTION_LOST if error.refusal is None else EndReason.REFUSED
            self._end(peer, reason, error.refusal or error)
        else:
            self._end(peer, EndReason.ROOM_CLOSED, None)

    def _end(self, peer: SupervisedPeer, reason: EndReason, error: Exception | None) -> None:
        if peer is self._peer:
            self._host.ended(reason, error)


class WhipService(_Endpoint):
    """Publishes to a WHIP endpoint; see `CallService`. Nobody is in the call but we.

    Args:
        request: its URL is the endpoint's, its token the bearer token.
    """

    def __init__(self, request: JoinRequest) -> None:
        super().__init__(request)
        self._publications: dict[Publication, Any] = {}
        self._changed = asyncio.Event()

    async def enter(self, host: CallHost) -> None:
        """Keep the host; nothing is asked for before there is something to publish."""
        self._host = host
        host.entered(PUBLISHER)
        host.spawn(self._follow(), "sessions", vital=True)

    async def publish(self, publication: Publication) -> None:
        """Implements `CallService.publish`."""
        self._publications[publication] = None
        self._changed.set()

    async def unpublish(self, publication: Publication) -> None:
        """Implements `CallService.unpublish`."""
        if publication in self._publications:
            del self._publications[publication]
            self._changed.set()

    async def set_muted(self, publication: Publication) -> None:
        """Implements `CallService.set_muted`."""
        sender = self._publications.get(publication)
        if sender is not None:
            await sender.replaceTrack(None if publication.muted else publication.track)

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(_TOGETHER)
            self._changed.clear()
            former, self._peer = self._peer, None
            if former is not None:
                await former.close()
            if self._publications:
                await self._begin()

    async def _begin(self) -> None:
        peer = self._supervise(_WhipClient(self._request.url, token=self._request.token))
        self._watch(peer)
        for publication in tuple(self._publications):
            sender = self._publications[publication] = peer.addTransceiver(
                publication.track, {"direction": "sendonly"}
            )
            if publication.muted:
                await sender.replaceTrack(None)
        with contextlib.suppress(InvalidStateError):  # closed meanwhile
            await peer.start()


class WhepService(_Endpoint):
    """Receives from a WHEP endpoint; see `CallService`. The one participant is the publisher.

    Args:
        request: its URL is the endpoint's, its token the bearer token.
    """

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self._host = host
        host.entered("viewer")
        peer = self._supervise(_WhepClient(self._request.url, token=self._request.token))
        self._tracks = ArrivingTracks(peer, self._subscribe, host.track_unsubscribed)
        for kind in ("audio", "video"):
            peer.addTransceiver(kind, {"direction": "recvonly"})
        self._peer = peer
        await peer.start()
        try:
            await peer.connected()
        except GaveUp as error:
            if error.refusal is not None:
                raise error.refusal from error
            raise
        self._watch(peer)

    async def publish(self, publication: Publication) -> None:
        """Refuse: a WHEP endpoint takes no tracks."""
        raise NotSupportedError("a WHEP endpoint takes no tracks: publish to a WHIP endpoint")

    async def unpublish(self, publication: Publication) -> None:
        """Do nothing: nothing is published."""

    async def set_muted(self, publication: Publication) -> None:
        """Do nothing: nothing is published."""

    def _subscribe(self, event: Any) -> tuple[str, str] | None:
        self._host.participant_joined(PUBLISHER, PUBLISHER)
        name = self._host.track_subscribed(PUBLISHER, event.track.kind, event.track)
        return None if name is None else (PUBLISHER, name)
