"""A session of a WHIP or WHEP server: what a handler gets, and a signaling channel towards the client.

Owns: the exchange of one offer and answer at a time, candidates, the connection if the handler wants one, the end.
Never: HTTP (that is `whip_server`).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Self

from rtcpeer.aio import Inbox, TaskSet
from rtcpeer.errors import InvalidStateError, RtcPeerError, SignalingRefused
from rtcpeer.protocols import DtlsTransportLike, PeerConnection, TransceiverLike
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.signaling.http.fragment import Fragment, fragment_of, rejects_sections, restarted
from rtcpeer.signaling.negotiator import Negotiator

logger = logging.getLogger(__name__)

#: Candidates that wait for a reader; more are dropped.
_ARRIVED_BOUND: Final = 300

#: Restarts whose credentials are remembered, so that nobody replays them.
_PAST_BOUND: Final = 100

#: Seconds for which an end waits for coroutines that listened to it: long enough to finish a file.
_LISTENERS_TIME: Final = 60.0

EndReason = Literal["client", "failed", "closed", "server"]
SessionKind = Literal["publish", "play", "offer"]


class WhipSession:
    """The session of one client, as `on_publish` and `on_play` get it.

    A handler uses it in one of two ways. Either it prepares `pc` (listens to its tracks, adds some) and returns: the
    server applies the offer to it and answers. Or it hands the session, which is a `SignalingChannel`, to a
    `Negotiator` or `SupervisedPeer` of its own, which answers. What it starts lives until `ended`.

    Attributes:
        name: the last part of the endpoint's path, "" for the endpoint itself.
        kind: "publish" (WHIP), "play" (WHEP) or "offer" (`HttpOfferServer`).
        id: the unguessable last part of the session's URL.
        token: the bearer token of the client; None without one.
        remote: the address of the client, as the HTTP server sees it.
        headers: the fields of the request that began it; from outside, and unchecked. The Authorization is among them.
        data: what a client of `HttpOfferServer` said besides its offer; from outside, and unchecked.
        offer: the client's newest offer.
        etag: the entity tag in force; another one after each restart.
        is_read: whether the handler uses it as a signaling channel.
        is_answered: whether the first offer has its answer.
    """

    def __init__(
        self,
        name: str,
        kind: SessionKind,
        offer: str,
        *,
        make_connection: Callable[[], PeerConnection],
        gathering_time: float,
        connect_timeout: float = 30.0,
        token: str | None = None,
        remote: str | None = None,
        headers: Mapping[str, str] | None = None,
        data: dict[str, Any] | None = None,
        id: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.id: str = secrets.token_urlsafe(24) if id is None else id
        self.token = token
        self.remote = remote
        self.headers: Mapping[str, str] = {} if headers is None else headers
        self.data: dict[str, Any] = data or {}
        self.offer: str = offer
        self.etag: str = _new_etag()
        self._make_connection = make_connection
        self._gathering_time = gathering_time
        self._connect_timeout = connect_timeout
        self._connect_timer: asyncio.TimerHandle | None = None  # until `pc` is connected for the first time
        self._pc: PeerConnection | None = None
        self._negotiator: Negotiator | None = None
        self.is_read: bool = False
        self.is_answered: bool = False
        self._past: deque[str | None] = deque(maxlen=_PAST_BOUND)  # user name fragments before restarts
        self._answer: asyncio.Future[str] | None = None
        self._exchanging = asyncio.Lock()
        self._inbox: Inbox[Message] = Inbox()
        self._reason: EndReason | None = None
        self._watched: list[DtlsTransportLike] = []  # DTLS transports whose state is listened to
        self._refused_before = 0  # descriptions that our negotiator refused before this exchange
        self._end_listeners: list[Callable[[WhipSession], object]] = []
        self._listening = TaskSet("end of a session")
        self._end_later: Callable[[WhipSession, EndReason], object] = lambda *_: None
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<WhipSession {self.kind} {self.name!r}{', ended' if self._reason else ''}>"

    @property
    def capabilities(self) -> ChannelCapabilities:
        """The client alone makes offers; an answer has all candidates, for none can follow it."""
        return ChannelCapabilities(
            reliable=True,
            trickle=False,
            gathering_time=self._gathering_time,
            renegotiate=False,
            restart="no",
            offers="remote",
            polite=True,
        )

    @property
    def pc(self) -> PeerConnection:
        """The connection that answers this client; made at the first use.

        Raises:
            InvalidStateError: the session has ended before there was one.
        """
        if self._pc is None:
            if self._reason is not None:
                raise InvalidStateError("the session has ended")
            self._pc = self._make_connection()
            self._pc.addEventListener("connectionstatechange", self._on_state)
        return self._pc

    @property
    def reason(self) -> EndReason | None:
        """Why it has ended; None while it lives.

        "client": a DELETE; "failed": consent was lost, or DTLS has failed; "closed": the client closed its connection,
        or the handler the session; "server": refused, ended or shut down from the server's side.
        """
        return self._reason

    def add_end_listener(self, listener: Callable[[WhipSession], object]) -> None:
        """Call `listener` with the session when it ends; `reason` is known then. If it has ended: now.

        Args:
            listener: a function, or a coroutine function: the server's `close` waits for it, for at most 60 s. What
                it raises goes to the loop's exception handler.
        """
        if self._reason is None:
            self._end_listeners.append(listener)
        else:
            self._tell(listener)

    def end_soon(self) -> None:
        """End it from the server's side, in a task of the server's."""
        self._end_later(self, "server")

    async def ended(self) -> EndReason:
        """Wait until the session has ended, and say why."""
        await self._ended.wait()
        assert self._reason is not None
        return self._reason

    async def apply_offer(self) -> list[TransceiverLike]:
        """Apply the client's offer to `pc` now, so that a handler can choose what each section sends.

        Returns:
            The transceivers of `pc`, those that the offer asks for among them. The server answers when the handler
            returns.

        Raises:
            SignalingRefused: the offer cannot be applied (422).
            InvalidStateError: the session has ended, or its offer was answered already.
        """
        if self._reason is not None or self.is_answered:
            raise InvalidStateError("the offer was answered already, or the session has ended")
        try:
            await self.pc.setRemoteDescription({"type": "offer", "sdp": self.offer})
        except (RtcPeerError, TypeError, ValueError) as error:
            raise SignalingRefused(str(error), status=422) from error
        return list(self.pc.getTransceivers())

    # -- as a signaling channel --------------------------------------------------------------------

    async def send(self, message: Any, /) -> None:
        """Answer the client's offer. Candidates are passed over: the answer has them.

        Raises:
            InvalidStateError: the session has ended, or no offer waits for an answer.
            TypeError: an offer: only the client makes those.
        """
        if self._reason is not None:
            raise InvalidStateError("the session has ended")
        value = as_message(message)
        if value.get("type") == "answer":
            if self._answer is None or self._answer.done():
                raise InvalidStateError("no offer waits for an answer")
            self._answer.set_result(value["sdp"])
        elif "candidate" not in value:
            raise TypeError(f"only the client makes offers; this session cannot send {value.get('type')!r}")

    def __aiter__(self) -> Self:
        if self._negotiator is None:  # it is not our own that reads
            self.is_read = True
        return self

    async def __anext__(self) -> Message:
        return await self._inbox.get()

    async def close(self) -> None:
        """End the session: its URL is gone, and so is its connection. Idempotent."""
        await self.end("closed")

    # -- for the server ----------------------------------------------------------------------------

    def bind(
        self, *, end: Callable[[WhipSession, EndReason], object], ended: Callable[[WhipSession], object]
    ) -> None:
        """Name the owner: `end` ends the session in a task of the owner's, `ended` is called when it has ended."""
        self._end_later = end
        self._end_listeners.append(ended)

    def negotiate(self) -> None:
        """Have offers answered by `pc`."""
        self._negotiator = Negotiator(self.pc, self, on_error=self._failed)
        self._negotiator.start()

    async def first_answer(self, timeout: float) -> str:
        """Wait for the answer to the client's offer.

        Raises:
            SignalingRefused: it cannot be accepted (422), or nobody answers in time (504).
        """
        answer = await self._exchange(self.offer, timeout)
        self.is_answered = True
        if self._pc is not None:
            # a client that never comes, and names no candidates that could fail, would stay for ever
            self._connect_timer = asyncio.get_running_loop().call_later(
                self._connect_timeout, self._end_later, self, "failed"
            )
        if rejects_sections(self.offer, answer):
            raise SignalingRefused("a part of it cannot be accepted: no codec in common?", status=422)
        return answer

    async def restart(self, fragment: Fragment, timeout: float) -> Fragment:
        """Restart ICE with the client's new credentials; of several at once the last one wins.

        Returns:
            The new credentials and candidates of this side.

        Raises:
            SignalingRefused: as `first_answer`.
        """
        async with self._exchanging:
            offer = restarted(self.offer, fragment)
            try:
                answer = await self._exchange_locked(offer, timeout)
            except SignalingRefused:
                await self._roll_back()
                raise
            self._past.append(fragment_of(self.offer)[0].ufrag)
            self.offer, self.etag = offer, _new_etag()
            return fragment_of(answer)[0]

    async def renegotiate(self, offer: str, timeout: float) -> str:
        """Have another offer of the client answered.

        Raises:
            SignalingRefused: as `first_answer`.
        """
        async with self._exchanging:
            try:
                answer = await self._exchange_locked(offer, timeout)
            except SignalingRefused:
                await self._roll_back()
                raise
            self.offer = offer
            return answer

    def take_messages(self, messages: list[dict[str, Any]]) -> int:
        """Candidates of the client in the form of RTCIceCandidateInit; see `take_candidates`."""
        room = max(0, _ARRIVED_BOUND - len(self._inbox.items))
        for message in messages[:room]:
            self._arrive(message)
        return min(room, len(messages))

    def take_candidates(self, fragment: Fragment) -> int:
        """Candidates of the client, the unusable ones among them: whoever reads the channel passes over those.

        Returns:
            How many were taken.
        """
        ufrag = fragment_of(self.offer)[0].ufrag
        if fragment.ufrag not in (None, ufrag):
            return 0  # of a generation that is over
        return self.take_messages([{**message, "usernameFragment": ufrag} for message in fragment.messages()])

    def is_current(self, fragment: Fragment) -> bool:
        """Whether a fragment has the credentials in force, or none: then it holds candidates, and is no restart."""
        return fragment.ufrag is None or fragment.ufrag == fragment_of(self.offer)[0].ufrag

    def is_past(self, fragment: Fragment) -> bool:
        """Whether a fragment has credentials of before a restart: they are not used again (RFC 8445 section 9)."""
        return fragment.ufrag in self._past

    async def end(self, reason: EndReason) -> None:
        """End it; the first reason stays, and who gave it waits for the listeners."""
        is_first = self._reason is None
        if self._reason is None:
            self._reason = reason
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(SignalingRefused("the session has ended", status=404))
                self._answer.exception()  # it is told where somebody waits
            self._stop_timer()
            self._inbox.end()
            self._ended.set()
            for listener in self._end_listeners:
                self._tell(listener)
        negotiator, self._negotiator = self._negotiator, None
        if negotiator is not None:
            await negotiator.close()
        if self._pc is not None:
            await self._pc.close()
        if is_first and self._listening:
            try:
                async with asyncio.timeout(_LISTENERS_TIME):
                    await self._listening.done()
            except TimeoutError:
                logger.warning("%r: a listener of its end has not ended within %g s", self, _LISTENERS_TIME)
                await self._listening.end()

    # -- inside ------------------------------------------------------------------------------------

    def _tell(self, listener: Callable[[WhipSession], object]) -> None:
        """Call a listener of the end; what it raises is reported, and ends nothing else."""
        try:
            work = listener(self)
        except Exception as error:
            self._report(error)
            return
        if inspect.isawaitable(work):
            self._listening.start(self._await(work), "listener")

    async def _await(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        message = f"an end listener of {self!r} failed"
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    async def _roll_back(self) -> None:
        """Leave the session as it was before a restart that failed."""
        pc = self._pc
        if self._negotiator is not None and pc is not None and str(pc.signalingState) == "have-remote-offer":
            await pc.setRemoteDescription({"type": "rollback", "sdp": ""})

    async def _exchange(self, offer: str, timeout: float) -> str:
        async with self._exchanging:
            return await self._exchange_locked(offer, timeout)

    async def _exchange_locked(self, offer: str, timeout: float) -> str:
        if self._reason is not None:
            raise SignalingRefused("the session has ended", status=404)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answer = answer
        if self._negotiator is not None:
            self._refused_before = self._negotiator.notices.counts["refused description"]
        self._arrive({"type": "offer", "sdp": offer})
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise SignalingRefused("nobody answered the offer in time", status=504) from None
        finally:
            self._answer = None

    def _arrive(self, message: Message) -> None:
        self._inbox.put(message)

    def _failed(self, error: Exception) -> None:
        """Our own negotiator could not use a message."""
        negotiator, answer = self._negotiator, self._answer
        if negotiator is None or answer is None or answer.done():
            logger.debug("%r: %s", self, error)  # the negotiator's notices count it
        elif negotiator.notices.counts["refused description"] > self._refused_before:
            fault = error.fault if isinstance(error, RtcPeerError) else "caller"
            status = 500 if fault == "network" else 422
            answer.set_exception(SignalingRefused(str(error), status=status))

    def _stop_timer(self) -> None:
        if self._connect_timer is not None:
            self._connect_timer.cancel()
            self._connect_timer = None

    def _on_state(self, _event: object) -> None:
        """Consent or the DTLS handshake has failed, or the client closed DTLS: what is left to do is to end."""
        pc = self._pc
        if pc is None:
            return
        for transport in _dtls_transports(pc):
            if transport not in self._watched:
                self._watched.append(transport)
                transport.addEventListener("statechange", self._on_state)
        if str(pc.connectionState) == "connected":
            self._stop_timer()
        states = {str(pc.connectionState), *(str(transport.state) for transport in self._watched)}
        if self._reason is None and states & {"failed", "closed"}:
            self._end_later(self, "failed" if "failed" in states else "closed")


def _dtls_transports(pc: PeerConnection) -> list[DtlsTransportLike]:
    found = [transceiver.receiver.transport for transceiver in pc.getTransceivers()]
    if pc.sctp is not None:
        found.append(pc.sctp.transport)
    return [transport for transport in dict.fromkeys(found) if transport is not None]


def _new_etag() -> str:
    return f'"{secrets.token_urlsafe(12)}"'
