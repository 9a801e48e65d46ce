"""A TextRoom of Janus as a call, "janus+ws://host:8188/?textroom=1234": text to all or to some, over a data channel.

Owns: the requests on the data channel, the membership. Never: media, of which a TextRoom has none.

On the data channel each request has a transaction, which its answer repeats; what the room tells has none. Whoever
loses its connection is not in the room any more, so on each new connection we join again, under the same user name.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
from typing import Any, ClassVar, Final

from rtcpeer.calls.events import EndReason
from rtcpeer.calls.janus.channels import HandleChannel, SubscriberChannel
from rtcpeer.calls.janus.plugin import LABEL, JanusPlugin
from rtcpeer.calls.janus.session import JanusError, JanusHandle
from rtcpeer.calls.participant import Participant
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import NetworkError, NotSupportedError, RTCTimeoutError, SignalingRefused

_TIMEOUT: Final = 10.0
_MESSAGE_MAX: Final = 1 << 20
_USERNAME_TAKEN: Final = 420
# A member whose connection is dead is in the room until Janus notices it.
_TRIES: Final = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class JanusTextRoom(JanusPlugin):
    """A TextRoom; see `CallService`. A participant's id is its user name, its name what it shows ("display").

    Args:
        request: its URL names the room (``?textroom=1234``), perhaps a ``pin`` and our ``username`` (drawn by default).
            Options: `create`: make the room if there is none, True or a mapping of its properties; `api_secret`.

    Raises:
        ValueError: the URL names no room.
    """

    plugin: ClassVar[str] = "janus.plugin.textroom"
    what: ClassVar[str] = "a TextRoom of Janus"
    options: ClassVar[tuple[str, ...]] = ("create", "api_secret")

    def __init__(self, request: JoinRequest) -> None:
        url, taken = request.take("textroom", "pin", "username")
        super().__init__(request, url)
        if not taken.get("textroom"):
            raise ValueError("the URL names the room of Janus: janus+ws://host:8188/?textroom=1234")
        self.room: int | str = int(taken["textroom"]) if taken["textroom"].isdecimal() else taken["textroom"]
        self.username: str = taken.get("username") or f"rtcpeer-{secrets.token_hex(6)}"
        self._pin = taken.get("pin")
        self._create = request.options.get("create")
        self._data: Any = None
        self._numbers = itertools.count(1)
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._joined = asyncio.Event()
        self._joining: asyncio.Task[None] | None = None
        self._refusal: Exception | None = None

    # -- the connection --------------------------------------------------------------------------------

    def prepare(self) -> tuple[HandleChannel, Any]:
        """Implements `JanusPlugin.prepare`."""
        channel = SubscriberChannel(
            self.renew, start={"request": "ack"}, restart=lambda: {"request": "restart"}
        )
        peer = self.host.supervise(channel)
        self._data = peer.createDataChannel(LABEL)
        self._data.addEventListener("message", self._take_message)
        self._data.addEventListener("open", lambda _: self._join_soon())
        return channel, peer

    async def begin(self, handle: JanusHandle) -> None:
        """Implements `JanusPlugin.begin`."""
        assert isinstance(self.channel, SubscriberChannel)
        if self._create:
            await self._make_room(handle)
        data, jsep = await handle.ask({"request": "setup"})
        if jsep is None:
            raise NetworkError("Janus has not offered a connection to the TextRoom", fault="remote")
        self.channel.take_over(handle)
        self.take_event(handle, data, jsep)

    async def _make_room(self, handle: JanusHandle) -> None:
        properties = self._create if isinstance(self._create, dict) else {}
        exists, _ = await handle.ask({"request": "exists", "room": self.room})
        if not exists.get("exists"):
            with contextlib.suppress(JanusError):  # somebody was faster; if not, joining says why
                await handle.ask({"request": "create", "room": self.room, **properties})

    def take_event(self, handle: JanusHandle, data: dict[str, Any], jsep: dict[str, Any] | None) -> None:
        """Implements `JanusPlugin.take_event`."""
        if not isinstance(self.channel, SubscriberChannel) or handle is not self.channel.handle:
            return
        if jsep is not None and jsep.get("type") == "offer":
            self.channel.offer(jsep["sdp"], {})

    def connected(self) -> None:
        """Implements `JanusPlugin.connected`."""
        if isinstance(self.channel, SubscriberChannel):
            self.channel.connected()

    async def enter(self, host: Any) -> None:
        """Implements `CallService.enter`."""
        await super().enter(host)
        await self._joined.wait()
        if self._refusal is not None:
            raise self._refusal

    # -- the room --------------------------------------------------------------------------------------

    def _join_soon(self) -> None:
        """The data channel is open, perhaps of another connection than before."""
        if self._joining is not None:
            self._joining.cancel()
        self._joining = self.host.spawn(self._join(), "TextRoom: join")

    async def _join(self) -> None:
        members: dict[str, Any] = {"username": self.username}
        if self.host.name is not None:
            members["display"] = self.host.name
        if self._pin is not None:
            members["pin"] = self._pin
        for pause in _TRIES:
            await asyncio.sleep(pause)
            try:
                answer = await self._request("join", **members)
            except JanusError as error:
                if error.code == _USERNAME_TAKEN and self._joined.is_set():
                    continue  # it is we, on the connection before
                self._refused(SignalingRefused(error.reason, status=error.code, fatal=True))
                return
            except (NetworkError, RTCTimeoutError) as error:
                self.host.ignored("joining the TextRoom", error)
                return  # there will be another connection
            self._entered(answer)
            return
        self._refused(
            SignalingRefused(f"the user name {self.username!r} is taken", status=_USERNAME_TAKEN, fatal=True)
        )

    def _refused(self, error: SignalingRefused) -> None:
        if self._joined.is_set():
            self.host.ended(EndReason.REFUSED, error)
        self._refusal = error
        self._joined.set()

    def _entered(self, answer: dict[str, Any]) -> None:
        there = answer.get("participants")
        members = [one for one in there if isinstance(one, dict)] if isinstance(there, list) else []
        ids = {str(one.get("username")) for one in members}
        self.host.entered(self.username)
        for id_ in self.host.participants:
            if id_ not in ids:
                self.host.participant_left(id_)
        for one in members:
            self._come(one)
        self._joined.set()

    def _come(self, one: dict[str, Any]) -> None:
        username = one.get("username")
        if isinstance(username, str) and username != self.username:
            self.host.participant_joined(username, one.get("display"))

    async def _request(self, verb: str, **members: Any) -> dict[str, Any]:
        """A request on the data channel.

        Raises:
            JanusError: the room refuses it.
            NetworkError, RTCTimeoutError: nobody answers.
        """
        transaction = f"t{next(self._numbers)}"
        answer = self._answers[transaction] = asyncio.get_running_loop().create_future()
        try:
            said = {"textroom": verb, "transaction": transaction, "room": self.room, **members}
            self._data.send(json.dumps(said))
            async with asyncio.timeout(_TIMEOUT):
                message: dict[str, Any] = await answer
        except TimeoutError:
            raise RTCTimeoutError(f"the TextRoom has not answered {verb!r}", fault="network") from None
        finally:
            del self._answers[transaction]
        if message.get("textroom") == "error":
            code = message.get("error_code")
            raise JanusError(code if isinstance(code, int) else 0, str(message.get("error"))[:200])
        return message

    def _take_message(self, event: Any) -> None:
        try:
            if not isinstance(event.data, str) or len(event.data) > 2 * _MESSAGE_MAX:
                raise ValueError("no text, or too long")
            said = json.loads(event.data)
            kind = said["textroom"]
            answer = self._answers.get(said.get("transaction"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.host.ignored("message of the TextRoom", error)
            return
        if answer is not None and kind in ("success", "error"):
            if not answer.done():
                answer.set_result(said)
        elif str(said.get("room")) == str(self.room):
            self._take(kind, said)

    def _take(self, kind: Any, said: dict[str, Any]) -> None:
        host = self.host
        match kind:
            case "join":
                self._come(said)
            case "leave":
                host.participant_left(str(said.get("username")))
            case "kicked" if said.get("username") == self.username:
                host.ended(EndReason.REMOVED)
            case "kicked":
                host.participant_left(str(said.get("username")), EndReason.REMOVED)
            case "destroyed":
                host.ended(EndReason.ROOM_CLOSED)
            case "message":
                if said.get("from") != self.username and isinstance(said.get("text"), str):
                    host.message(str(said.get("from")), said["text"])
            case "announcement":
                host.message(None, said.get("text"))
            case "success" | "error":
                pass  # nobody waits for it any more
            case _:
                host.ignored(f"TextRoom says {kind}"[:60])

    # -- orders ----------------------------------------------------------------------------------------

    async def send(self, data: Any, to: Participant | None) -> None:
        """Implements `CallService.send`; it returns when the room has taken it.

        Raises:
            NotSupportedError: it is no text.
            SignalingRefused: the room refuses it.
            NetworkError, RTCTimeoutError: nobody answers.
        """
        if not isinstance(data, str):
            raise NotSupportedError(f"a TextRoom carries text, not {type(data).__name__}")
        await self._request("message", text=data, **({"to": to.id} if to is not None else {}))

    async def announce(self, text: str, secret: str | None = None) -> None:
        """Say something to all as the room; raises as `send`."""
        await self.ask("announcement", room=self.room, text=text, **({"secret": secret} if secret else {}))

    async def kick(self, participant: Participant, secret: str | None = None) -> None:
        """Put somebody out; raises as `send`."""
        members = {"secret": secret} if secret else {}
        await self.ask("kick", room=self.room, username=participant.id, **members)
