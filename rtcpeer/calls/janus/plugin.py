"""Base of services on one handle of Janus: the session, the handle, its supervised peer, the way back.

Owns: the session and the handle in force. Never: what a plugin says; `echo`, `textroom` and `streaming` do
that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.host import MENDING, CallHost
from rtcpeer.calls.janus.channels import HandleChannel
from rtcpeer.calls.janus.session import JanusError, JanusHandle, JanusSession
from rtcpeer.calls.participant import Participant, Publication
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import (
    InvalidStateError,
    NetworkError,
    NotSupportedError,
    RTCTimeoutError,
    SignalingRefused,
)
from rtcpeer.supervisor.events import GaveUp
from rtcpeer.supervisor.policy import PeerState

# The label of Janus' data channels.
LABEL: Final = "JanusDataChannel"
_RETRY: Final = 1.0


class JanusPlugin:
    """The base of services on one handle; see `CallService`.

    A class of it says what a plugin wants: `prepare` makes the channel and the peer, `begin` begins with a handle,
    `take_event` hears what the plugin says.

    Attributes:
        session: with Janus.
        peer: the supervised peer; None before it is there.
        is_left: whether the call was left.
    """

    plugin: ClassVar[str]
    what: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ("api_secret",)

    def __init__(self, request: JoinRequest, url: str) -> None:
        request.check_options(*self.options)
        self.session: JanusSession = JanusSession(
            url,
            api_secret=request.options.get("api_secret"),
            token=request.token,
            on_lost=lambda: self.host.reconnecting("signaling"),
            on_back=self._back,
            on_end=lambda error: self.host.ended(EndReason.SIGNALING_ENDED, error),
            on_nonsense=lambda what: self.host.ignored(what.partition(":")[0], what),
        )
        self.host: CallHost
        self.peer: Any = None
        self.channel: HandleChannel | None = None
        self.is_left: bool = False
        self._beginning: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.session!r}>"

    # -- for the classes -------------------------------------------------------------------------------

    def prepare(self) -> tuple[HandleChannel, Any]:
        """Make the channel and the peer on it, which is not started."""
        raise NotImplementedError

    async def begin(self, handle: JanusHandle) -> None:
        """Begin with a handle: the first one, or another one after Janus has forgotten us."""
        raise NotImplementedError

    def take_event(self, handle: JanusHandle, data: dict[str, Any], jsep: dict[str, Any] | None) -> None:
        """Hear what the plugin says."""
        raise NotImplementedError

    async def new_handle(self) -> JanusHandle:
        """A handle whose events are heard."""
        handle = await self.session.attach(self.plugin)
        handle.on_event = lambda data, jsep: self.take_event(handle, data, jsep)
        handle.on_hangup = lambda reason: self.hung_up(handle, reason)
        return handle

    async def renew(self) -> None:
        """Begin with another handle, which is given back if that fails."""
        handle = await self.new_handle()
        try:
            await self.begin(handle)
        except BaseException:
            if not self.is_left:  # else it goes with the session, which may not answer any more
                self.host.spawn(handle.detach(), "give a handle back")
            raise

    def hung_up(self, handle: JanusHandle, reason: str) -> None:
        """Janus has closed the peer connection; the supervised peer notices by itself."""

    @property
    def handle(self) -> JanusHandle:
        """The handle in force.

        Raises:
            NetworkError: there is none at present.
        """
        handle = self.channel.handle if self.channel is not None else None
        if handle is None or handle.is_gone:
            raise NetworkError("there is no handle at Janus at present", fault="network")
        return handle

    async def ask(self, request: str, **members: Any) -> dict[str, Any]:
        """A request to the plugin, of those that its documentation names; its answer.

        Raises:
            SignalingRefused: the plugin refuses it.
            NetworkError, RTCTimeoutError: nobody answers.
        """
        return (await self.handle.ask({"request": request, **members}))[0]

    # -- the life --------------------------------------------------------------------------------------

    async def enter(self, host: CallHost) -> None:
        """Implements `CallService.enter`."""
        self.host = host
        await self.session.open()
        self.channel, self.peer = self.prepare()
        self.peer.addEventListener("statechange", self._on_state)
        try:
            await self.begin(await self.new_handle())
        except JanusError as error:
            raise SignalingRefused(error.reason, status=error.code, fatal=True) from error
        host.spawn(self._run(), self.what, vital=True)
        try:
            await self.peer.connected()
        except GaveUp as error:
            raise error.refusal or error from error

    async def _run(self) -> None:
        reason, error = EndReason.ROOM_CLOSED, None
        try:
            await self.peer.start()
            await self.peer.closed()
        except GaveUp as gave_up:
            reason, error = EndReason.CONNECTION_LOST, gave_up
        except InvalidStateError:
            pass  # closed before it was started
        if not self.is_left:
            self.host.ended(reason, error)

    def _on_state(self, event: Any) -> None:
        if event.state in MENDING:
            self.host.reconnecting(event.reason)
        elif event.state == PeerState.CONNECTED:
            self.connected()
            self.host.reconnected()

    def connected(self) -> None:
        """The connection stands, for the first time or again."""

    def _back(self, same: bool) -> None:
        if same:
            self.host.reconnected()
            return
        if self._beginning is not None:
            self._beginning.cancel()  # for a session that Janus has forgotten, too
        name = f"{self.what}: begin again"
        self._beginning = self.host.spawn(self._begin_again(self._beginning), name, vital=True)

    async def _begin_again(self, former: asyncio.Task[None] | None) -> None:
        """Janus has forgotten us."""
        if former is not None:
            await asyncio.wait([former])
        while not self.is_left and self.session.id is not None:
            try:
                await self.renew()
            except JanusError as error:
                self.host.ended(EndReason.REFUSED, error)
                return
            except (NetworkError, RTCTimeoutError, InvalidStateError) as error:
                self.host.ignored("beginning again", error)
                await asyncio.sleep(_RETRY)
            else:
                return

    async def leave(self) -> None:
        """Implements `CallService.leave`."""
        self.is_left = True
        try:
            if self.peer is not None:
                await self.peer.close()
        finally:
            await self.session.close()  # and with it the handle

    # -- what most of them have not --------------------------------------------------------------------

    async def publish(self, publication: Publication) -> None:
        """Refuse: tracks cannot be published."""
        raise NotSupportedError(f"{self.what} takes no tracks")

    async def unpublish(self, publication: Publication) -> None:
        """Do nothing: nothing is published."""

    async def set_muted(self, publication: Publication) -> None:
        """Do nothing: nothing is published."""

    async def set_metadata(self, _metadata: Mapping[str, Any]) -> None:
        """Refuse: there is no metadata."""
        raise NotSupportedError(f"{self.what} carries no metadata")

    async def send(self, data: Any, to: Participant | None) -> None:
        """Refuse: there are no messages."""
        raise NotSupportedError(f"{self.what} carries no messages")
