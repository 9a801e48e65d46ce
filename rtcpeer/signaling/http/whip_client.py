"""WHIP and WHEP clients: a signaling channel to a media server over HTTP (RFC 9725; draft-ietf-wish-whep).

Owns: the requests of one endpoint and its session there: the POST, the candidates, restarts, the DELETE. Never: a peer
connection. Needs the extra ``rtcpeer[signaling]`` (aiohttp).

What is where: `send` makes the POST and returns when it is answered; the answer comes out of the iteration. Candidates
are kept until the session exists and go out in one PATCH after the other, in a task of their own, so that a server
which does not answer a PATCH delays nothing. A second offer of the same connection is a restart of ICE; one of another
connection ends the session and begins the next.

Each POST runs in a task of its own that is never cancelled from outside: whoever gives up waiting leaves a note, and
the session that the server makes all the same is deleted at once. So no await of ours can leave one behind.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Coroutine, Mapping
from typing import Any, Self

import aiohttp
from yarl import URL

from rtcpeer.aio import Inbox, start_task
from rtcpeer.config.configuration import RTCIceServer
from rtcpeer.errors import InvalidStateError, NetworkError, RTCSyntaxError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.capabilities import ChannelCapabilities
from rtcpeer.signaling.channel import Message, as_message
from rtcpeer.signaling.glance import is_other_connection_untrusted, ufrags_untrusted
from rtcpeer.signaling.http.fragment import (
    FRAGMENT_TYPE,
    Fragment,
    FragmentCandidate,
    fragment_of,
    read_fragment_untrusted,
    restarted,
    write_fragment,
)
from rtcpeer.signaling.http.headers import read_ice_servers_untrusted
from rtcpeer.signaling.http.requester import SDP_TYPE, Requester, Response

logger = logging.getLogger(__name__)

_PATCH_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 5.0


class _Attempt:
    """A POST under way; `is_wanted` turns False when nobody waits for its session any more."""

    def __init__(self) -> None:
        self.is_wanted = True


class WhipClient:
    """Publishes to a WHIP endpoint: a `SignalingChannel` for `Negotiator` or `SupervisedPeer`.

        async with SupervisedPeer(WhipClient("https://media.example/whip/cam", token="...")) as peer:
            peer.addTrack(track)
            await peer.connected()

    Everything that is to be sent is added before the first offer: a session carries one (RFC 9725 section 4.2), and
    later changes raise NotSupportedError. ICE can be restarted unless the server refuses that.

    Args:
        url: of the endpoint, http or https.
        token: a bearer token, sent with every request to the endpoint's own origin and never elsewhere.
        trickle: "auto": the offer waits up to 250 ms for candidates and later ones follow; True: it goes out at once;
            False: it waits until all are gathered. A server that refuses candidates turns it to False.
        timeout: how long a POST or a restart may take, in seconds. It is not repeated meanwhile.
        session: an aiohttp session to use, not closed here; by default one of this client's own.
        headers: more header fields for every request.
        tls: how https is verified; by default as Python does.

    Attributes:
        ice_servers: what the server recommends (its Link fields); `SupervisedPeer` uses them for its next gathering.
        location: the URL of the session; None while there is none.
        etag: the session's entity tag as the server wrote it; None without one.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        trickle: Any = "auto",
        timeout: float = 30.0,
        session: aiohttp.ClientSession | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._http = Requester(url, token=token, session=session, headers=headers, tls=tls)
        self._trickle = trickle
        self._timeout = timeout
        self._restart_refused = False
        self.ice_servers: list[RTCIceServer] = []
        self.location: URL | None = None
        self.etag: str | None = None
        self._offer = ""
        self._answer = ""
        self._attempt: _Attempt | None = None
        self._pending: list[dict[str, Any]] = []  # candidates that have not gone out
        self._patching: asyncio.Task[Any] | None = None
        self._inbox: Inbox[Message] = Inbox()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._closing: asyncio.Task[Any] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "no session" if self.location is None else "in session"
        return f"<{type(self).__name__} {self._http.url.origin()}{self._http.url.path}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def capabilities(self) -> ChannelCapabilities:
        """The capabilities: one exchange, reliable; candidates and restarts as the server has shown to take them."""
        return ChannelCapabilities(
            reliable=True,
            trickle=self._trickle,
            gathering_time=0.25 if self._trickle == "auto" else 5.0,
            renegotiate=False,
            restart="no" if self._restart_refused else "offer",
            offers="local",
            polite=self._polite,
        )

    _polite = False

    @property
    def configuration(self) -> dict[str, str]:
        """Members that a connection over this channel should have (RFC 9725 section 4.4)."""
        return {"bundlePolicy": "max-bundle", "rtcpMuxPolicy": "require"}

    async def send(self, message: Any, /) -> None:
        """Send an offer (a POST, or a restart), an answer to a counter-offer, or a candidate.

        Raises:
            SignalingRefused: the server says no; `.status` and `.fatal` say how.
            RTCTimeoutError: it does not answer in time.
            NetworkError: it cannot be reached, or answers with something that is no answer.
            InvalidStateError: the channel is closed.
        """
        self._check_open()
        value = as_message(message)
        if value.get("type") == "offer":
            same = self.location is not None and not is_other_connection_untrusted(self._offer, value["sdp"])
            await self._run(self._restart(value["sdp"]) if same else self._begin(value["sdp"]))
        elif value.get("type") == "answer":
            await self._run(self._accept(value["sdp"]))
        elif "candidate" in value:
            await self.send_candidates([value])

    async def send_candidates(self, messages: list[Any]) -> None:
        """Send candidates; they leave together, once the session exists."""
        self._check_open()
        if self._trickle is False:
            return
        self._pending += [as_message(message) for message in messages]
        self._patch_soon()

    async def options(self) -> list[RTCIceServer]:
        """Ask the endpoint for ICE servers before the first offer (an OPTIONS request).

        Returns:
            The servers, which are also in `ice_servers`; none where the endpoint names none.

        Raises:
            NetworkError, RTCTimeoutError: it cannot be reached.
        """
        self._check_open()
        response = await self._run(self._http.request("OPTIONS", self._http.url, timeout=self._timeout))
        self._take_servers(response)
        return self.ice_servers

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return await self._inbox.get()

    async def close(self) -> None:
        """End the session at the server (DELETE) and the channel. Idempotent, and done even if it is cancelled."""
        if self._closing is None:
            self._closed = True
            self._inbox.end()
            self._closing = start_task(self._end(), name="rtcpeer whip close")
        await asyncio.shield(self._closing)

    # -- the session -------------------------------------------------------------------------------

    async def _begin(self, offer: str) -> None:
        """POST an offer: a new session. The one before, or one that is still being made, is given up."""
        if self._attempt is not None:
            self._attempt.is_wanted = False
        self._stop_patching()
        attempt = self._attempt = _Attempt()
        if self.location is not None:  # in a task of its own: whoever is cancelled here does not undo it
            await asyncio.shield(self._spawn(self._delete(self._forget_session()), "delete"))
        task = self._spawn(self._post(offer, attempt), "post")
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            attempt.is_wanted = False
            if task.done() and not task.cancelled() and task.exception() is None and self._offer == offer:
                self._spawn(self._delete(self._forget_session()), "delete")
            raise

    async def _post(self, offer: str, attempt: _Attempt) -> None:
        response = await self._http.request(
            "POST",
            self._http.url,
            body=offer,
            headers={"Content-Type": SDP_TYPE, "Accept": SDP_TYPE},
            timeout=self._timeout,
        )
        location = response.location()
        if not attempt.is_wanted:
            if response.status < 300 or response.status == 406:
                await self._delete(location)
            return
        kind = self._kind(response)
        if kind is None:
            raise response.refusal()
        self._restart_refused = location is None
        if location is None:
            logger.warning("%r: the server names no Location: no candidates, restarts and DELETE", self)
            self._trickle = False
        self.location, self.etag = location, response.headers.get("ETag")
        self._offer, self._answer = offer, response.body
        self._take_servers(response)
        self._arrive({"type": kind, "sdp": response.body})
        self._patch_soon()

    def _kind(self, response: Response) -> str | None:
        """The type of the description that a response to a POST has; None: it is a refusal."""
        return "answer" if response.status in (200, 201) and response.is_sdp else None

    async def _accept(self, answer: str) -> None:
        raise NetworkError("a WHIP server makes no offers that could be answered")

    async def _restart(self, offer: str) -> None:
        """Restart ICE by a PATCH (RFC 9725 section 4.3.2); a refused one leaves the session as it was."""
        if self.location is None:
            raise SignalingRefused("there is no session", status=404, fatal=False)
        if ufrags_untrusted(offer) & ufrags_untrusted(self._offer):
            raise SignalingRefused("a session carries one offer, and nothing but ICE can change", fatal=False)
        self._stop_patching()
        location = self.location
        fragment, kind, mid = fragment_of(offer)
        text = write_fragment(fragment, kind=kind, mid=mid)
        for if_match in ("*", '"*"'):  # some servers compare the star as if it were a tag
            response = await self._http.request(
                "PATCH",
                location,
                body=text,
                headers={"Content-Type": FRAGMENT_TYPE, "If-Match": if_match, "Accept": FRAGMENT_TYPE},
                timeout=self._timeout,
            )
            if response.status != 412:
                break
        if location != self.location:
            return
        if response.status != 200:
            error = response.refusal(restart=True)
            self._restart_refused = error.retry_after is None
            raise error
        try:
            answer = restarted(self._answer, read_fragment_untrusted(response.body))
        except RTCSyntaxError as error:
            self._restart_refused = True
            raise SignalingRefused(f"the answer to a restart is unusable: {error}", fatal=False) from error
        self.etag = response.headers.get("ETag", self.etag)
        self._offer, self._answer = offer, answer
        self._arrive({"type": "answer", "sdp": answer})
        self._patch_soon()

    # -- candidates --------------------------------------------------------------------------------

    def _patch_soon(self) -> None:
        if self._pending and self.location is not None and self._patching is None and not self._closed:
            self._patching = self._spawn(self._patch_all(self.location), "candidates")

    def _stop_patching(self) -> None:
        """Candidates of the past are of no use to the next generation."""
        self._pending = []
        task, self._patching = self._patching, None
        if task is not None:
            task.cancel()

    async def _patch_all(self, location: URL) -> None:
        """Send what is there, in one request after the other, until nothing is left."""
        try:
            while self._pending and self._trickle is not False and location == self.location:
                batch, self._pending = self._pending, []
                text = self._fragment(batch)
                if text:
                    await self._patch(location, text)
        finally:
            if self._patching is asyncio.current_task():
                self._patching = None

    def _fragment(self, batch: list[dict[str, Any]]) -> str:
        """The text for candidates of the section that carries the others; those of other sections are not needed."""
        fragment, kind, mid = fragment_of(self._offer)
        assert fragment.ufrag is not None
        chosen = []
        for message in batch:
            ours = message.get("usernameFragment") in (None, fragment.ufrag)
            if ours and (mid is None or message.get("sdpMid") in (None, mid)):
                chosen.append(FragmentCandidate(str(message.get("candidate") or ""), mid))
        if not chosen:
            return ""
        return write_fragment(Fragment(fragment.ufrag, fragment.pwd, tuple(chosen)), kind=kind, mid=mid)

    async def _patch(self, location: URL, text: str) -> None:
        headers = {"Content-Type": FRAGMENT_TYPE}
        if self.etag is not None:
            headers["If-Match"] = self.etag
        try:
            response = await self._http.request(
                "PATCH", location, body=text, headers=headers, timeout=_PATCH_TIMEOUT
            )
        except (NetworkError, RTCTimeoutError) as error:
            logger.info("%r: candidates could not be sent: %s", self, error)
            return
        if response.status == 412:
            return  # of a generation that is over
        if not 200 <= response.status < 300:
            logger.info("%r: the server takes no candidates (%s)", self, response.status)
            self._trickle = False

    # -- requests ----------------------------------------------------------------------------------

    async def _delete(self, location: URL | None) -> None:
        """End a session at the server; one that is gone already is fine."""
        if location is None:
            return
        try:
            response = await self._http.request("DELETE", location, timeout=_CLOSE_TIMEOUT)
        except (NetworkError, RTCTimeoutError) as error:
            logger.warning("%r: the session could not be deleted: %s", self, error)
            return
        if response.status >= 300 and response.status not in (404, 410):
            logger.warning("%r: DELETE was answered with %s", self, response.status)

    # -- inside ------------------------------------------------------------------------------------

    def _take_servers(self, response: Response) -> None:
        servers = read_ice_servers_untrusted(response.links)
        if servers:
            self.ice_servers = servers

    def _forget_session(self) -> URL | None:
        location, self.location, self.etag = self.location, None, None
        return location

    def _arrive(self, message: Message) -> None:
        self._inbox.put(message)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidStateError("the signaling channel is closed")

    async def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a request as a task that `close` knows and ends."""
        task = self._spawn(work, "request")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise InvalidStateError("the signaling channel was closed meanwhile") from None
            task.cancel()
            raise

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = start_task(work, name=f"rtcpeer whip {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits has it; of a task that nobody waits for any more it is of no use

    async def _end(self) -> None:
        self._stop_patching()
        if self._attempt is not None:
            self._attempt.is_wanted = False
        for task in self._tasks:
            if "request" in task.get_name():
                task.cancel()
        await self._delete(self._forget_session())
        if self._tasks:  # a POST under way: its session is deleted as soon as the server names it
            _, late = await asyncio.wait(set(self._tasks), timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._delete(self._forget_session())
        await self._http.close()


class WhepClient(WhipClient):
    """Plays from a WHEP endpoint; used as `WhipClient` is, with transceivers that receive.

        async with SupervisedPeer(WhepClient("https://media.example/whep/cam")) as peer:
            peer.addTransceiver("video", {"direction": "recvonly"})
            peer.ontrack = lambda event: ...

    While nobody publishes (409) the offer is repeated when the server says. A counter-offer (406 with a description)
    comes out of the iteration as an offer, and its answer goes to the server by PATCH; ICE cannot be restarted then.
    """

    _polite = True  # a counter-offer replaces our offer

    def _kind(self, response: Response) -> str | None:
        if response.status == 406 and response.is_sdp and "Location" in response.headers:
            return "offer"
        return super()._kind(response)

    async def _accept(self, answer: str) -> None:
        if self.location is None:
            raise NetworkError("there is no session whose offer could be answered")
        headers = {"Content-Type": SDP_TYPE}
        if self.etag is not None:
            headers["If-Match"] = self.etag
        response = await self._http.request(
            "PATCH", self.location, body=answer, headers=headers, timeout=self._timeout
        )
        if not 200 <= response.status < 300:
            raise response.refusal()
        self._offer = answer  # our ICE credentials are those of the answer now
        self._restart_refused = (
            True  # what a server would answer to another offer of ours nobody has specified
        )
        self._patch_soon()
