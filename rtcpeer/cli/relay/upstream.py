"""Streams that other relays have: each is pulled once by WHEP, however many watch it here.

Owns: which relays are asked and in which order, the pulled streams' connections, the chain of relays that a request has
come through. Never: who watches here (that is `broadcast`).

Theory of operation. Somebody wants to watch what nobody publishes here. The relays upstream are asked for it one after
the other; the first that has it sends it once. Relays may name each other. Each request to a relay says in its Via
field (RFC 9110 section 7.6.3) through which relays it has come, so that none is asked for what it is asking for itself;
and a relay that is still looking for a stream does not let another one wait for it, since the other one may be whom it
has asked. A connection that is lost for good is not made again here: that is for those who watch, whose next request
goes the way that is right by then.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from rtcpeer.aio import start_task
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.peer.forwarder import Forwarder
from rtcpeer.signaling.http.whip_client import WhepClient
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.peer import SupervisedPeer
from rtcpeer.supervisor.policy import PeerState

logger = logging.getLogger(__name__)

#: What a relay answers that is looking for a stream itself, when another relay asks for it.
LOOKING: Final = 503

# below the time that a player's request is given (`answer_timeout`)
_PULL_TIME: Final = 8.0
_ROUNDS: Final = 3
_AGAIN: Final = 1.0
_LONGEST_VIA: Final = 2000
# the publisher has gone: there is nothing to wait for
_GONE: Final = (404, 409, 410)
_KINDS: Final = ("audio", "video")


class _Endpoint(WhepClient):
    """A WHEP endpoint that reports each failure at once; the supervised peer would go on asking."""

    def __init__(self, url: str, failed: Callable[[NetworkError], object], **options: Any) -> None:
        super().__init__(url, **options)
        self._failed = failed

    async def send(self, message: Any, /) -> None:
        """Implements `WhipClient.send`."""
        try:
            await super().send(message)
        except NetworkError as error:
            self._failed(error)
            raise


class Pull:
    """A stream of another relay that this one pulls.

    Args:
        url: where it is played, a WHEP URL.
        via: the relays that asked, this one last.
        token: the bearer token to show there.
        configuration: of the connection.

    Attributes:
        url: as above.
        forwarders: by kind; from `start` on.
    """

    def __init__(self, url: str, via: str, token: str | None, configuration: Any) -> None:
        self.url = url
        self.forwarders: dict[str, Forwarder] = {}
        self._peer = SupervisedPeer(
            _Endpoint(url, self._on_error, token=token, headers={"Via": via}), configuration=configuration
        )
        self._over: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._peer.addEventListener("statechange", self._on_state)

    async def start(self) -> None:
        """Connect.

        Raises:
            SignalingRefused: that relay does not have it, or does not want to.
            NetworkError: it cannot be reached.
        """
        for kind in _KINDS:
            self._peer.addTransceiver(kind, {"direction": "recvonly"})
        await self._peer.start()
        connected = start_task(self._peer.connected())
        try:
            await _first(connected, self._over)
            if not connected.done():
                raise self._over.result()
            connected.result()
        except (GaveUp, InvalidStateError) as error:
            refusal = error.refusal if isinstance(error, GaveUp) else None
            raise refusal or NetworkError(str(error), fault="network") from error
        finally:
            connected.cancel()
            await asyncio.wait([connected])
        for transceiver in self._peer.pc.getTransceivers():
            if transceiver.currentDirection == "recvonly":
                self.forwarders[transceiver.receiver.track.kind] = Forwarder(transceiver.receiver)

    async def ended(self) -> str:
        """Wait for its end; says why: "closed" by the other side, or "lost"."""
        closed = start_task(self._peer.closed())
        try:
            await _first(closed, self._over)
        finally:
            closed.cancel()
            await asyncio.wait([closed])
        lost = closed.cancelled() or closed.exception() is not None
        return "lost" if lost else "closed"

    async def close(self) -> None:
        """End it, there and here."""
        for forwarder in self.forwarders.values():
            forwarder.close()
        await self._peer.close()

    def _on_state(self, event: Any) -> None:
        """ICE may be restarted; another session is not asked for."""
        if event.state == PeerState.RECREATING and not self._over.done():
            self._over.set_result(NetworkError("the connection is lost", fault="network"))

    def _on_error(self, error: NetworkError) -> None:
        """Before it is connected every failure counts, later those that say that nobody publishes it any more."""
        gone = isinstance(error, SignalingRefused) and error.status in _GONE
        if not self._over.done() and (gone or not self.forwarders):
            self._over.set_result(error)


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


class Upstream:
    """The relays that are asked for what nobody publishes here.

    Args:
        urls: their WHEP endpoints, without the name of a stream, such as ``http://origin:8080/whep``.
        token: the bearer token to show there.
        configuration: of the connections.
    """

    def __init__(self, urls: Sequence[str], *, token: str | None = None, configuration: Any = None) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._token = token
        self._configuration = configuration
        self._name = f"rtcpeer-{secrets.token_hex(8)}"

    def __repr__(self) -> str:
        return f"<Upstream of {len(self._urls)} relays>"

    def __bool__(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._urls)

    def check(self, via: str) -> None:
        """Refuse what this relay has asked for itself.

        Args:
            via: the Via field of the request.

        Raises:
            SignalingRefused: 508, it comes back to where it was; or it has come too far.
        """
        if self._name in via or len(via) > _LONGEST_VIA:
            raise SignalingRefused("this relay is asking for that itself", status=508)

    async def pull(self, name: str, via: str) -> Pull | None:
        """Get a stream from the first relay that has it; None: none has.

        Args:
            name: of the stream.
            via: the Via field of the request that asks for it.
        """
        via = f"{via}, 1.1 {self._name}" if via else f"1.1 {self._name}"
        waiting, share = self._urls, _PULL_TIME / len(self._urls)
        for attempt in range(_ROUNDS):
            if attempt:
                await asyncio.sleep(_AGAIN)
            looking = []
            for url in waiting:
                pull = Pull(f"{url}/{quote(name, safe='')}", via, self._token, self._configuration)
                try:
                    async with asyncio.timeout(share):
                        await pull.start()
                except (NetworkError, RTCTimeoutError, TimeoutError) as error:
                    logger.info("%s has no stream %r: %s", url, name, str(error) or "it does not answer")
                    await pull.close()
                    if isinstance(error, SignalingRefused) and error.status == LOOKING:
                        looking.append(url)
                except BaseException:
                    await pull.close()
                    raise
                else:
                    return pull
            waiting = looking
            if not waiting:
                break
        return None
