"""Signaling channels of Janus' handles: one to publish by, one to subscribe by, for supervised peers.

Owns: what of a description and its candidates goes to which request of the plugin. Never: a peer connection, a decision
about what is published or subscribed to.

A publisher's offers are "publish" at first and "configure" later; an offer of another connection takes the former one
back first ("unpublish"), so the participant stays the same. A subscriber is always offered to; its restarts are asked
for, and where that does not help (or Janus has hung up) another handle takes over: its offer comes from another
session, for which the supervised peer makes another connection, and the numbers in "senders" let it find each track
again.

Janus writes another session id into the o= line of each description. RFC 9429 section 5.2.1 has it constant for the
life of a connection, and a supervised peer tells by it that the other side has begun anew: so it is written over.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from rtcpeer.calls.janus.session import JanusError, JanusHandle
from rtcpeer.calls.queue_channel import QueueChannel
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.records import record
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.signaling.glance import is_other_connection_untrusted, ufrags_untrusted
from rtcpeer.supervisor.handover import MEMBER

logger = logging.getLogger(__name__)

T = TypeVar("T")

_HANGUP_TIME: Final = 2.0
# Between Janus' word that a connection is closed and the next offer, in seconds. Another thread of Janus (1.1 to 1.4)
# disposes of the handle's ICE agent a moment after that word: of the next connection's, if an offer has come by then.
_DISPOSAL_TIME: Final = 0.2
_NOT_PUBLISHED: Final = 435
# The user fragment in Janus' answer where the agent is gone.
_NOTHING: Final = "(null)"
# Restarts of a subscriber that are asked for before another handle takes over.
_RESTARTS: Final = 2
_START: Final[Mapping[str, Any]] = {"request": "start"}
_ORIGIN: Final = re.compile(r"^o=(\S+) \d+ \d+ ", re.MULTILINE)


class _Origin:
    """The o= line of one connection of Janus: one session id, versions that grow."""

    def __init__(self) -> None:
        self.begin_connection()

    def begin_connection(self) -> None:
        """Begin another connection: with another session id."""
        self._id = secrets.randbits(62)
        self._version = 0

    def write(self, sdp: str) -> str:
        """The next description of the connection, with its o= line."""
        self._version += 1
        return _ORIGIN.sub(rf"o=\g<1> {self._id} {self._version} ", sdp, count=1)

    def is_of(self, answer: Mapping[str, Any]) -> bool:
        """Whether an answer is to a description of the connection; one that does not say is."""
        said = answer.get("answerTo")
        return not isinstance(said, str) or said.partition(" ")[0] == str(self._id)


class HandleChannel(QueueChannel):
    """Base of the channels of handles: `SignalingChannel` but for descriptions.

    Attributes:
        handle: which carries it; None while there is none.
    """

    def __init__(self, handle: JanusHandle | None) -> None:
        super().__init__()
        self.handle: JanusHandle | None = None
        self._hungup = asyncio.Event()
        self._origin = _Origin()
        if handle is not None:
            self.use(handle)

    def use(self, handle: JanusHandle) -> None:
        """Go on with another handle."""
        self.handle = handle
        self._hungup.clear()
        self._origin.begin_connection()
        handle.on_candidate = self._take_candidate

    async def send_candidates(self, messages: list[dict[str, Any]]) -> None:
        """Tell candidates together."""
        handle = self._open_handle()
        await handle.trickle(messages)

    def _take_candidate(self, candidate: Mapping[str, Any]) -> None:
        self.put({"candidate": ""} if candidate.get("completed") else dict(candidate))

    def _open_handle(self) -> JanusHandle:
        self.check_open()
        if self.handle is None or self.handle.is_gone:
            raise NetworkError("there is no handle at Janus at present", fault="network")
        return self.handle


class PublisherChannel(HandleChannel):
    """Carries our offers to a handle of the VideoRoom that has joined as publisher.

    Args:
        handle: which has joined; None: `use` names it.
        describe: the names of our tracks: members "mid" and "description" of each, for the offer at hand.
    """

    capabilities = ChannelCapabilities(reliable=True, offers="local", polite=False)

    def __init__(self, handle: JanusHandle | None, describe: Callable[[], list[dict[str, Any]]]) -> None:
        self._describe = describe
        self._offer = ""  # the newest one that Janus may have taken
        self._is_broken = False  # its answer was of no use
        super().__init__(handle)

    def use(self, handle: JanusHandle) -> None:
        """Go on with another handle, which has published nothing yet."""
        super().use(handle)
        self._offer, self._is_broken = "", False

    def hung_up(self) -> None:
        """Janus has closed the peer connection."""
        self._offer, self._is_broken = "", False
        self._origin.begin_connection()
        self._hungup.set()

    async def send(self, message: Any, /) -> None:
        """Publish or change by an offer; candidates one by one."""
        handle, init = self._open_handle(), as_message(message)
        if "candidate" in init:
            await handle.trickle([init])
            return
        if init["type"] != "offer":
            raise InvalidStateError(f"a publisher of Janus sends offers, not {init['type']}")
        sdp = str(init["sdp"])
        if self._is_broken or (self._offer and is_other_connection_untrusted(self._offer, sdp)):
            await self.take_back(handle)
        body = self._body(is_first=not self._offer)
        self._offer = sdp  # before it is answered: Janus may have it although no answer comes
        _, answer = await _plain(handle.ask(body, {"type": "offer", "sdp": sdp}))
        self._is_broken = answer is None or _NOTHING in ufrags_untrusted(answer["sdp"])
        if answer is None:
            raise NetworkError("Janus has taken the offer and not answered it", fault="remote")
        if self._is_broken:
            raise NetworkError("Janus has answered for a connection that it had closed", fault="remote")
        said = {"type": str(answer.get("type")), "sdp": self._origin.write(answer["sdp"])}
        self.put(said | self._members())

    def _body(self, *, is_first: bool) -> dict[str, Any]:
        """The request that carries an offer."""
        return {"request": "publish" if is_first else "configure", "descriptions": self._describe()}

    def _members(self) -> dict[str, Any]:
        """The members that an answer has besides its description."""
        return {}

    async def _end_connection(self, handle: JanusHandle) -> None:
        """Ask for the end of the connection of the former offer."""
        try:
            await _plain(handle.ask({"request": "unpublish"}))
        except JanusError as error:
            if error.code != _NOT_PUBLISHED:
                raise
            # the connection has never stood: the plugin knows of nothing, Janus' core has it
            await _plain(handle.hang_up())

    async def take_back(self, handle: JanusHandle) -> None:
        """End the connection that Janus may have of an offer of ours.

        Raises:
            SignalingRefused, NetworkError: Janus refuses, or does not answer.
            InvalidStateError: the handle is gone.
        """
        if not self._offer:
            return
        self._hungup.clear()
        await self._end_connection(handle)
        try:
            async with asyncio.timeout(_HANGUP_TIME):
                await self._hungup.wait()
        except TimeoutError:
            logger.info("Janus has not hung up within %g s after unpublishing", _HANGUP_TIME)
        await asyncio.sleep(_DISPOSAL_TIME)
        self.hung_up()


class EchoChannel(PublisherChannel):
    """Carries our offers to a handle of the EchoTest.

    Args:
        settings: what each request says besides its offer.
        numbers: of what comes back in each section, by mid: the same for the same track on every connection.
    """

    def __init__(self, settings: Callable[[], dict[str, Any]], numbers: Callable[[], dict[str, int]]) -> None:
        super().__init__(None, list)
        self._settings = settings
        self._numbers = numbers

    def _members(self) -> dict[str, Any]:
        return {MEMBER: {"peer": "janus", "senders": self._numbers()}}

    def _body(self, *, is_first: bool) -> dict[str, Any]:
        return self._settings()

    async def _end_connection(self, handle: JanusHandle) -> None:
        await _plain(handle.hang_up())


@record(frozen=True, slots=True)
class Stream:
    """One section of a subscriber's connection: a stream of a publisher.

    Attributes:
        feed: id of the participant.
        mid: of the section in the participant's own connection.
        name: how the participant calls it; "" if it does not.
        number: ours, the same for the same publication on every connection; 0 where nobody publishes it any more.
    """

    feed: str
    mid: str
    name: str
    number: int


class _Offer(dict[str, Any]):
    """An offer of Janus that waits to be read, with what its sections are."""

    def __init__(self, members: Mapping[str, Any], sections: Mapping[str, Stream]) -> None:
        super().__init__(members)
        self.sections = dict(sections)


class SubscriberChannel(HandleChannel):
    """Carries Janus' offers from a handle that receives, and our answers to it.

    Args:
        renew: makes another handle that subscribes to the same streams; its offer is given to `offer`.
        negotiated: called with the sections of an offer when it has been read.
        start: the request that carries an answer.
        restart: makes the request that asks for a restart of ICE.
    """

    capabilities = ChannelCapabilities(reliable=True, offers="remote", restart="ask", polite=True)

    def __init__(
        self,
        renew: Callable[[], Awaitable[None]],
        negotiated: Callable[[Mapping[str, Stream]], object] = lambda _: None,
        *,
        start: Mapping[str, Any] = _START,
        restart: Callable[[], dict[str, Any]] = lambda: {"request": "configure", "restart": True},
    ) -> None:
        super().__init__(None)
        self._start, self._restart = start, restart
        self._renew = renew
        self._negotiated = negotiated
        self._restarts = 0
        self._former: list[JanusHandle] = []

    def take_over(self, handle: JanusHandle) -> None:
        """Go on with another handle; the former one is given back when the new offer is answered."""
        if self.handle is not None and not self.handle.is_gone:
            self._former.append(self.handle)
        self._restarts = 0
        self.use(handle)

    def offer(self, sdp: str, sections: Mapping[str, Stream]) -> None:
        """An offer of Janus, and what its sections are."""
        senders = {mid: stream.number for mid, stream in sections.items() if stream.number}
        members = {
            "type": "offer",
            "sdp": self._origin.write(sdp),
            MEMBER: {"peer": "janus", "senders": senders},
        }
        self.put(_Offer(members, sections))

    def connected(self) -> None:
        """The connection stands: the next trouble is another one."""
        self._restarts = 0

    async def __anext__(self) -> Message:
        message = await super().__anext__()
        if isinstance(message, _Offer):
            self._negotiated(message.sections)
        return message

    async def send(self, message: Any, /) -> None:
        """Answer; candidates one by one."""
        handle, init = self._open_handle(), as_message(message)
        if "candidate" in init:
            await handle.trickle([init])
            return
        if init["type"] != "answer":
            raise InvalidStateError(f"a subscriber of Janus sends answers, not {init['type']}")
        if not self._origin.is_of(init):
            return  # the offer was the former handle's: this one has another offer
        await _plain(handle.ask(self._start, {"type": "answer", "sdp": init["sdp"]}))
        former, self._former = self._former, []
        for old in former:
            await old.detach()

    async def request_restart(self) -> None:
        """Ask Janus for a restart; when that has not helped, begin anew."""
        self._restarts += 1
        if self._restarts > _RESTARTS:
            self._restarts = 0
            await self._renew()
            return
        handle = self._open_handle()
        _, jsep = await _plain(handle.ask(self._restart()))
        if jsep is not None:
            handle.on_event({"restarted": True}, jsep)


async def _plain(asking: Awaitable[T]) -> T:
    """The answer; a refusal of the plugin is none for good, and a late answer is trouble of the network."""
    try:
        return await asking
    except SignalingRefused:
        raise
    except RTCTimeoutError as error:
        raise NetworkError(str(error), fault="network") from error
