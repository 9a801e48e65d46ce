"""A call: the object that `join` gives to a program.

Owns: our publications, the life of the call's service from `enter` to `leave`. Never: what a service does for that.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Final, Self

from rtcpeer.aio import start_task
from rtcpeer.calls.events import CallEvent, Ended, EndReason
from rtcpeer.calls.host import MESSAGE_MAX, CallHost, free_name
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.calls.service import CallService
from rtcpeer.errors import InvalidStateError, RTCTimeoutError
from rtcpeer.protocols import Track

logger = logging.getLogger(__name__)

# How long leaving may take, in seconds; what is not gone by then is abandoned, with a word in the log.
LEAVE_TIMEOUT: Final = 8.0
# A name of a track travels in the stream's id (RFC 8830 section 2 allows 64 of these characters).
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")


class Call:
    """A call that was entered; `join` makes it.

    Example::

        async with join("room+wss://example.org/rooms?room=lobby", name="bot") as call:
            await call.publish(AudioSource(48000))
            async for event in call.events():
                ...
    """

    def __init__(self, request: JoinRequest, service: CallService) -> None:
        self._service = service
        self._host = CallHost(request, self._over)
        self._publications: dict[str, Publication] = {}
        self._leaving: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        end = self._host.end
        state = f"{len(self._host.participants)} others" if end is None else f"ended: {end.reason}"
        return f"<Call {self._host.request.url.split('?')[0]}, {state}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- what can be asked -----------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The identity that the service gave to this end of the call."""
        return self._host.id

    @property
    def name(self) -> str | None:
        """The name under which the others see this end of the call."""
        return self._host.name

    @property
    def service(self) -> CallService:
        """The object of this kind of service, with what only it has."""
        return self._service

    @property
    def participants(self) -> Mapping[str, Participant]:
        """The others, by id; a copy."""
        return self._host.participants

    @property
    def publications(self) -> Mapping[str, Publication]:
        """The published tracks, by name; a copy."""
        return dict(self._publications)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Our own metadata, as the others see it."""
        return self._host.metadata

    @property
    def ended(self) -> Ended | None:
        """Why the call is over; None while it goes on."""
        return self._host.end

    @property
    def ignored(self) -> Mapping[str, int]:
        """Counts of messages from the other side that made no sense, by kind."""
        return dict(self._host.counters)

    async def closed(self) -> Ended:
        """Wait until the call is over; why."""
        await self._ended.wait()
        assert self._host.end is not None
        return self._host.end

    async def events(self) -> AsyncGenerator[CallEvent, None]:
        """The events of the call, until `Ended`, which is the last one.

        The first reader gets everything since the call was entered; a later one begins with `ParticipantJoined` and
        `TrackSubscribed` of what is there. A reader that lags behind by 10,000 events loses messages, oldest first.
        """
        stream = self._host.open_stream()
        try:
            async for event in stream:
                yield event
        finally:
            self._host.close_stream(stream)

    # -- what can be done ------------------------------------------------------------------------------

    async def publish(self, track: Track, *, name: str | None = None) -> Publication:
        """Send a track to everybody, also to those who come later.

        Args:
            track: a track of ours; it is never stopped by the call.
            name: 1 to 48 letters, digits, "-", "_" and "."; by default the kind, with a number if need be.

        Raises:
            InvalidStateError: the call is over, or the name is taken.
            TypeError: it is no track.
            ValueError: the name has other characters.
            NotSupportedError, SignalingRefused, NetworkError: the service cannot or will not carry it.
        """
        self._check_open("publish()")
        if getattr(track, "kind", None) not in ("audio", "video") or not hasattr(track, "recv"):
            raise TypeError(f"publish() takes a track, not {track!r}")
        if name is None:
            name = free_name(track.kind, self._publications)
        elif not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a track: 1 to 48 letters, digits, '-', '_', '.'")
        elif name in self._publications:
            raise InvalidStateError(f"there is a track {name!r} already: unpublish it, or take another name")
        publication = Publication(track, name, unpublish=self.unpublish, mute=self._mute)
        self._publications[name] = publication
        try:
            await self._service.publish(publication)
        except BaseException:
            self._publications.pop(name, None)
            raise
        return publication

    async def unpublish(self, publication: Publication) -> None:
        """Take a track out of the call. One that is not in it is passed over."""
        if self._publications.get(publication.name) is publication:
            del self._publications[publication.name]
            if self._host.end is None:
                await self._service.unpublish(publication)

    async def send(self, data: str | bytes, to: Participant | str | None = None) -> None:
        """Send a message.

        Args:
            data: text or bytes, at most 1 MiB; some services take other values.
            to: a participant or its id; None: all.

        Raises:
            InvalidStateError: the call is over, or the participant is gone.
            ValueError: it is longer than 1 MiB.
            NotSupportedError: the service carries no messages.
        """
        self._check_open("send()")
        if isinstance(data, (str, bytes)) and len(data) > MESSAGE_MAX:
            raise ValueError(f"a message has at most {MESSAGE_MAX} bytes, not {len(data)}")
        if to is not None:
            id_ = to if isinstance(to, str) else to.id
            to = self._host.participants.get(id_)
            if to is None:
                raise InvalidStateError(f"there is no participant {id_!r} in the call")
        await self._service.send(data, to)

    async def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Say something else of ourselves; what JSON can carry.

        Raises:
            InvalidStateError: the call is over.
            NotSupportedError: the service has no such thing.
            ValueError, TypeError: the service does not carry so much, or JSON does not carry it.
        """
        self._check_open("set_metadata()")
        former, self._host.metadata = self._host.metadata, MappingProxyType(dict(metadata))
        try:
            await self._service.set_metadata(self._host.metadata)
        except BaseException:
            self._host.metadata = former
            raise

    async def close(self) -> None:
        """Leave the call. Idempotent; ends when connections, sockets and tasks are gone. Published tracks go on."""
        self._host.ended(EndReason.LEFT)
        if self._leaving is not None:
            await asyncio.shield(self._leaving)

    leave = close

    # -- inside ----------------------------------------------------------------------------------------

    async def enter(self) -> None:
        """For `join`: enter, or leave nothing behind."""
        timeout = self._host.request.timeout
        try:
            async with asyncio.timeout(timeout):
                await self._service.enter(self._host)
        except BaseException as error:
            self._host.ended(EndReason.REFUSED, error if isinstance(error, Exception) else None)
            if self._leaving is not None:
                await asyncio.shield(self._leaving)
            if isinstance(error, TimeoutError) and not isinstance(error, RTCTimeoutError):
                trouble = "" if self._host.trouble is None else f": {self._host.trouble}"
                raise RTCTimeoutError(
                    f"{self._host.request.url.split('?')[0]} was not entered within {timeout:g} s{trouble}",
                    fault="network",
                ) from None
            raise

    def _over(self, _end: Ended) -> None:
        self._ended.set()
        self._leaving = start_task(self._leave(), name="rtcpeer call: leave")

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                await self._service.leave()
        except TimeoutError:
            logger.warning("%r was not left within %g s", self, LEAVE_TIMEOUT)
        except Exception:
            logger.exception("%r: leaving failed", self)
        await self._host.stop_tasks()

    async def _mute(self, publication: Publication) -> None:
        if self._host.end is None and self._publications.get(publication.name) is publication:
            await self._service.set_muted(publication)

    def _check_open(self, what: str) -> None:
        if self._host.end is not None:
            raise InvalidStateError(f"{what}: the call is over: {self._host.end.reason}")


class Joining(Awaitable[Call]):
    """The result of `join`: await it, or use it with `async with`, which leaves the call at the end."""

    def __init__(self, request: JoinRequest, service: CallService) -> None:
        self._request = request
        self._service = service
        self._call: Call | None = None

    def __await__(self) -> Generator[Any, None, Call]:
        return self._enter().__await__()

    async def __aenter__(self) -> Call:
        return await self._enter()

    async def __aexit__(self, *_: object) -> None:
        if self._call is not None:
            await self._call.close()

    async def _enter(self) -> Call:
        if self._call is not None:
            raise InvalidStateError("this call was entered before: call join() again")
        self._call = Call(self._request, self._service)
        await self._call.enter()
        return self._call
