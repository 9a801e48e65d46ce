"""A TURN client without I/O (RFC 8656): one allocation on one path to one server.

Owns: the allocation, its permissions and channels, retransmission.  Never: sockets,
the clock; `now` is an argument, bytes leave through the `send` that was given.

aioice's client spends a task per packet and hides error codes; here data costs a dictionary look-up and a
4-byte header, and every failure keeps its code.  Over TCP and TLS the same messages are framed by their own
lengths (RFC 8656 2.1, channel data padded to four bytes) and never retransmitted.
"""

# Longer than 600 lines: requests, refreshes, permissions and channels are one state machine over one allocation.

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from rtcpeer.net.network import Address
from rtcpeer.records import record
from rtcpeer.stun import message as stun
from rtcpeer.stun.credentials import Attempts, LongTermCredentials
from rtcpeer.stun.message import StunMessage
from rtcpeer.turn.framing import Frames

NEVER = float("inf")


@record(frozen=True, slots=True)
class Allocated:
    """The relayed addresses (one, or one per family) and how the server sees us."""

    relayed: tuple[Address, ...]
    mapped: Address | None


@record(frozen=True, slots=True)
class Refused:
    """A refused allocation, or a refused refresh of one that stands: a STUN error code, or 701 for silence.

    Attributes:
        code, text: the server's, or ours for silence.
        alternate: where a redirect (300) sends us.
        signed: the server has proved that the refusal is its own (MESSAGE-INTEGRITY).
    """

    code: int
    text: str
    alternate: Address | None = None
    signed: bool = False


@record(frozen=True, slots=True)
class Lost:
    """The allocation that we had is gone."""

    code: int
    text: str


@record(frozen=True, slots=True)
class Released:
    """The server confirmed that the allocation is no more."""


TurnEvent = Allocated | Refused | Lost | Released


class Request:
    """A request on its way to the server.

    Attributes:
        peer: the permission's or channel's peer.
        next_at: when it is repeated, or, while it waits after a failure of the server, sent anew.
        failures: how often the server has failed (5xx) to deal with it.
    """

    __slots__ = ("attempts", "body", "data", "deadline", "failures", "method", "next_at", "peer", "rto")

    def __init__(self, method: int, body: bytes, peer: Address | None) -> None:
        self.method = method
        self.body = body
        self.peer = peer
        self.attempts = Attempts()
        self.failures = 0
        self.data = b""
        self.next_at = 0.0
        self.rto = 0.0
        self.deadline = 0.0


class Permission:
    """A permission: what one peer IP address may send to us."""

    __slots__ = ("granted", "queue", "refresh_at", "refused", "used")

    def __init__(self) -> None:
        self.granted = False
        # The server has said no; it is not asked again before another generation of ICE wants to know.
        self.refused = False
        self.used = True
        self.refresh_at = NEVER
        self.queue: list[tuple[bytes, Address]] = []


class Channel:
    """A channel number for one peer."""

    __slots__ = ("bound", "number", "refresh_at", "refused")

    def __init__(self, number: int) -> None:
        self.number = number
        self.bound = False
        self.refused = False
        self.refresh_at = NEVER


_SLACK = 0.001


_UDP = b"\x11\0\0\0"


_LIFETIME = 600


# RFC 8656 9: a permission lives 300 s; 12: a channel 600 s.  Refreshed with time for several tries.
_PERMISSION_REFRESH = 240.0


_CHANNEL_REFRESH = 480.0


_FIRST_CHANNEL = 0x4000


_LAST_CHANNEL = 0x4FFF


# Datagrams kept per peer while its permission is being asked for.
_QUEUE = 4


_MAX_PEERS = 256


_HEADER = Struct("!HH")


# A server that fails (5xx, 508 included) is asked again after this pause, which doubles up to the limit.
_RETRY_FIRST = 0.5


_RETRY_LIMIT = 30.0


# A new allocation is asked for this often in all: gathering waits for it, and there may be other servers.
_ALLOCATE_TRIES = 4


class TurnClient:
    """The TURN client of one allocation.

    Args:
        send: puts one message on the path to the server.
        receive_data: called with (data, peer) for each datagram that a peer sent.
        reliable: the path is a stream: frame, and do not retransmit.
        ipv6: ask for an IPv6 address too.
        rto: first retransmission; doubles.
        keepalive: silence after which the server gets a binding indication, so that no NAT on the way forgets
            us.  Streams are remembered longer, but by some proxies for a minute only: there it is twice as much.
        timeout: after which the server counts as unreachable.

    Attributes:
        problem: why the allocation is gone, or will end, as (code, text); None while all is well.
    """

    def __init__(
        self,
        *,
        username: str,
        password: str,
        send: Callable[[bytes], None],
        receive_data: Callable[[bytes, Address], None],
        reliable: bool,
        ipv6: bool,
        rto: float,
        timeout: float,
        keepalive: float = 25.0,
        transaction_id: Callable[[], bytes] = stun.new_transaction_id,
    ) -> None:
        self._credentials = LongTermCredentials(username, password)
        self._send = send
        self._receive_data = receive_data
        self._reliable = reliable
        self._rto = rto
        self._timeout = timeout
        self._keepalive = keepalive * (2 if reliable else 1)
        # When something last went to the server.
        self._sent_at = NEVER
        self._transaction_id = transaction_id
        self.events: list[TurnEvent] = []
        self.relayed: tuple[Address, ...] = ()
        # "new", "allocating", "allocated", "releasing", "gone"
        self.phase = "new"
        self._requests: dict[bytes, Request] = {}
        # Requests that the server failed to deal with, until they are sent again.
        self._waiting: list[Request] = []
        # Which address families to ask for: "both", "ipv4" (the default family), "ipv6".
        self._ask = "both" if ipv6 else "ipv4"
        self._refresh_at = NEVER
        self._expires_at = NEVER
        self.problem: tuple[int, str] | None = None
        # The server does not prolong it: it ends when it expires.
        self._is_ending = False
        self._permissions: dict[str, Permission] = {}
        self.channels: dict[Address, Channel] = {}
        self._peer_of_channel: dict[int, Address] = {}
        self._next_channel = _FIRST_CHANNEL
        self._frames = Frames()
        self._release_wanted = False

    # -- commands ----------------------------------------------------------------------------------

    def allocate(self, now: float) -> None:
        """Ask for the allocation."""
        self.phase = "allocating"
        body = stun.attribute(stun.REQUESTED_TRANSPORT, _UDP) + stun.u32(stun.LIFETIME, _LIFETIME)
        if self._ask == "both":
            body += stun.attribute(stun.ADDITIONAL_ADDRESS_FAMILY, b"\x02\0\0\0")
        elif self._ask == "ipv6":
            body += stun.attribute(stun.REQUESTED_ADDRESS_FAMILY, b"\x02\0\0\0")
        self._start(now, stun.ALLOCATE, body)

    def verify(self, now: float) -> None:
        """Refresh now: whether the allocation still stands is answered by `Allocated`, `Refused` or `Lost`.

        Whoever asks wants to use it from now on: what the server refused before is asked for again.
        """
        if self.phase == "allocated":
            self._permissions = {h: p for h, p in self._permissions.items() if not p.refused}
            self.channels = {peer: c for peer, c in self.channels.items() if not c.refused}
            self._refresh(now)

    def _refresh(self, now: float) -> None:
        """Ask for a prolongation now: a request that waits for its next repetition is not doubled, but repeated."""
        for request in self._waiting:
            if request.method == stun.REFRESH:
                request.next_at = now
                return
        for request in self._requests.values():
            if request.method == stun.REFRESH:
                if not self._reliable:
                    request.rto = self._rto
                    request.deadline = now + self._timeout
                    request.next_at = now + request.rto
                    self._send(request.data)
                return
        self._start(now, stun.REFRESH, stun.u32(stun.LIFETIME, _LIFETIME))

    def release(self, now: float) -> None:
        """Give the allocation back (Refresh with lifetime 0); `Released` follows, or silence."""
        if self.phase == "allocating" and self._requests:
            # The server may be about to say yes.
            self._release_wanted = True
            return
        if self.phase != "allocated":
            self.phase = "gone"
            self._forget_requests()
            self.events.append(Released())
            return
        self.phase = "releasing"
        self._forget_requests()
        self._permissions.clear()
        self.channels.clear()
        self._start(now, stun.REFRESH, stun.u32(stun.LIFETIME, 0))

    def prepare(self, now: float, peer: Address) -> None:
        """Checks with this peer will follow: have the permission ready."""
        if self.phase != "allocated":
            return
        permission = self._permissions.get(peer[0])
        if permission is None:
            if len(self._permissions) >= _MAX_PEERS:
                return
            permission = self._permissions[peer[0]] = Permission()
            self._ask_permission(now, peer)
        permission.used = True

    def bind(self, now: float, peer: Address) -> None:
        """Data will flow to this peer: spare it the headers."""
        if self.phase != "allocated" or peer in self.channels or self._next_channel > _LAST_CHANNEL:
            return
        channel = self.channels[peer] = Channel(self._next_channel)
        self._next_channel += 1
        self._ask_channel(now, peer, channel)

    def send_data(self, now: float, data: bytes, peer: Address) -> None:
        """Send one datagram to a peer: in a channel, else in an indication, else after the permission."""
        channel = self.channels.get(peer)
        if channel is not None and channel.bound:
            self._sent_at = now
            size = len(data)
            self._send(
                _HEADER.pack(channel.number, size) + data + (b"\0" * (-size & 3) if self._reliable else b"")
            )
            return
        if self.phase != "allocated":
            return
        permission = self._permissions.get(peer[0])
        if permission is None:
            self.prepare(now, peer)
            permission = self._permissions.get(peer[0])
            if permission is None:
                return
        permission.used = True
        if permission.granted:
            self._indicate(now, data, peer)
        elif not permission.refused:
            if len(permission.queue) >= _QUEUE:
                del permission.queue[0]
            permission.queue.append((data, peer))

    def _indicate(self, now: float, data: bytes, peer: Address) -> None:
        self._sent_at = now
        transaction_id = self._transaction_id()
        body = stun.xor_address(stun.XOR_PEER_ADDRESS, peer, transaction_id) + stun.attribute(stun.DATA, data)
        self._send(stun.encode(stun.SEND_INDICATION, transaction_id, body, fingerprint=False))

    # -- requests ----------------------------------------------------------------------------------

    def _ask_permission(self, now: float, peer: Address) -> None:
        self._start(now, stun.CREATE_PERMISSION, b"", peer)

    def _ask_channel(self, now: float, peer: Address, channel: Channel) -> None:
        self._start(now, stun.CHANNEL_BIND, _channel_number(channel.number), peer)

    def _start(self, now: float, method: int, body: bytes, peer: Address | None = None) -> None:
        request = Request(method, body, peer)
        request.deadline = now + self._timeout
        self._transmit(now, request)

    def _transmit(self, now: float, request: Request) -> None:
        """Send with a fresh transaction id and the credentials as they are now known."""
        transaction_id = self._transaction_id()
        body = request.body
        if request.peer is not None:
            body += stun.xor_address(stun.XOR_PEER_ADDRESS, request.peer, transaction_id)
        body += self._credentials.attributes
        request.attempts.nonce = self._credentials.nonce
        request.data = stun.encode(request.method, transaction_id, body, self._credentials.key)
        request.rto = self._rto
        request.next_at = request.deadline if self._reliable else now + request.rto
        self._requests[transaction_id] = request
        self._sent_at = now
        self._send(request.data)

    # -- datagrams ---------------------------------------------------------------------------------

    def receive_channel_data_untrusted(self, data: bytes) -> None:
        """Take one ChannelData message (RFC 8656 12.4): the hot path."""
        if len(data) >= 4:
            number, size = _HEADER.unpack_from(data)
            peer = self._peer_of_channel.get(number)
            if peer is not None and len(data) >= 4 + size:
                self._receive_data(data[4 : 4 + size], peer)

    def receive_untrusted(self, now: float, data: bytes) -> None:
        """Take one datagram, or one frame of a stream, from the server."""
        if not data:
            return
        if data[0] & 0xC0 == 0x40:
            self.receive_channel_data_untrusted(data)
            return
        try:
            message = stun.parse_untrusted(data)
        except stun.StunError:
            return
        if message.kind == stun.DATA_INDICATION:
            sender = message.address(stun.XOR_PEER_ADDRESS)
            payload = message.attributes.get(stun.DATA)
            # A peer that we never asked a permission for can not honestly reach us.
            if sender is not None and payload is not None and sender[0] in self._permissions:
                self._receive_data(payload, sender)
            return
        request = self._requests.get(message.transaction_id)
        if request is None or message.kind & ~stun.CLASS_MASK != request.method:
            return
        kind = message.kind & stun.CLASS_MASK
        if kind == stun.SUCCESS and self._credentials.believe_success(message):
            del self._requests[message.transaction_id]
            self._on_success(now, request, message)
        elif kind == stun.ERROR and self._credentials.believe_error(message):
            del self._requests[message.transaction_id]
            self._on_error(now, request, message)

    def feed_untrusted(self, now: float, chunk: bytes) -> bool:
        """Bytes of a stream; False when they can not be framed and the stream is of no use any more."""
        frames, good = self._frames.feed_untrusted(chunk)
        for frame in frames:
            self.receive_untrusted(now, frame)
        return good

    def _on_success(self, now: float, request: Request, message: StunMessage) -> None:
        method = request.method
        if method == stun.ALLOCATE:
            relayed = message.address(stun.XOR_RELAYED_ADDRESS)
            addresses = [a for a in (relayed, _second_relayed(message)) if a is not None]
            if not addresses:
                self._refuse(500, "the server gave no relayed address")
                return
            self.phase = "allocated"
            self.relayed = tuple(dict.fromkeys(addresses))
            self._live(now, message)
            if self._release_wanted:
                self.release(now)
                return
            self.events.append(Allocated(self.relayed, message.address(stun.XOR_MAPPED_ADDRESS)))
        elif method == stun.REFRESH:
            if self.phase == "releasing":
                self.phase = "gone"
                self.events.append(Released())
            else:
                self._live(now, message)
                self.events.append(Allocated(self.relayed, None))
        elif method == stun.CREATE_PERMISSION and request.peer is not None:
            self._grant(now, request.peer[0])
        elif method == stun.CHANNEL_BIND and request.peer is not None:
            channel = self.channels.get(request.peer)
            if channel is not None:
                channel.bound = True
                channel.refresh_at = now + _CHANNEL_REFRESH
                self._peer_of_channel[channel.number] = request.peer
                self._grant(now, request.peer[0])

    def _live(self, now: float, message: StunMessage) -> None:
        self.problem = None
        self._is_ending = False
        lifetime = message.number(stun.LIFETIME) or _LIFETIME
        self._expires_at = now + lifetime
        self._refresh_at = now + max(lifetime - 60, lifetime / 2)

    def _grant(self, now: float, host: str) -> None:
        permission = self._permissions.setdefault(host, Permission())
        permission.granted = True
        permission.refresh_at = now + _PERMISSION_REFRESH
        queue, permission.queue = permission.queue, []
        for data, peer in queue:
            self._indicate(now, data, peer)

    def _on_error(self, now: float, request: Request, message: StunMessage) -> None:
        code, text = message.error
        if code in (401, 438) and self._credentials.accept_challenge(code, message, request.attempts):
            self._transmit(now, request)
        elif 500 <= code < 600 and self._wait(now, request):
            pass  # the server's own trouble; it may be over soon
        elif request.method == stun.ALLOCATE:
            self._on_allocate_error(now, code, text, message)
        elif request.method == stun.REFRESH:
            if self.phase == "releasing":
                self.phase = "gone"
                self.events.append(Released())
            elif code == 437 or code >= 500:
                self._lose(code, text)
            else:
                self._on_refresh_refused(code, text)
        elif code == 437:
            self._lose(code, text)
        elif request.peer is not None:
            self._on_peer_error(request.method, request.peer, (code, text))

    def _on_refresh_refused(self, code: int, text: str) -> None:
        """The server does not prolong the allocation: until it expires it stands (RFC 8656 8; only 437 denies it)."""
        self.problem = code, text
        self._is_ending = True
        self._refresh_at = NEVER
        self.events.append(Refused(code, text))

    def _on_peer_error(self, method: int, peer: Address, problem: tuple[int, str]) -> None:
        """A permission or a channel was refused (403 and the like): that is final for this generation of ICE."""
        if method == stun.CREATE_PERMISSION:
            permission = self._permissions.get(peer[0])
            if permission is not None:
                if permission.granted:
                    self.problem = problem
                permission.granted = False
                permission.refused = True
                permission.queue.clear()
            return
        channel = self.channels.get(peer)
        if channel is not None:
            # Indications still work; that number may belong to another peer since before a reuse.
            channel.bound = False
            channel.refused = True
            channel.refresh_at = NEVER

    def _wait(self, now: float, request: Request) -> bool:
        """Ask again later, each time after a longer pause; False when there is no point in it any more.

        RFC 8489 6.3.4: after a response of 500 to 599 the client may send the request again, not for ever.
        """
        if self.phase == "releasing":
            return False
        again_at = now + min(_RETRY_FIRST * 2 ** min(request.failures, 10), _RETRY_LIMIT)
        if request.method == stun.ALLOCATE and (
            self._release_wanted or request.failures + 1 >= _ALLOCATE_TRIES or again_at >= request.deadline
        ):
            return False
        if request.method == stun.REFRESH:
            # the last try while it stands; what is sent later is too late
            again_at = min(again_at, max(now + _RETRY_FIRST, self._expires_at - 1))
            if again_at >= self._expires_at:
                return False
        request.failures += 1
        request.next_at = again_at
        self._waiting.append(request)
        return True

    def _forget_requests(self) -> None:
        self._requests.clear()
        self._waiting.clear()

    def _on_allocate_error(self, now: float, code: int, text: str, message: StunMessage) -> None:
        if self._ask == "both" and code in (400, 420, 440):
            self._ask = "ipv4"
            self.allocate(now)
        elif self._ask == "ipv4" and code == 440:
            self._ask = "ipv6"
            self.allocate(now)
        else:
            alternate = message.plain_address(stun.ALTERNATE_SERVER) if code == 300 else None
            signed = self._credentials.key is not None and message.authentic(self._credentials.key)
            self._refuse(code, text, alternate, signed=signed)

    def _refuse(
        self, code: int, text: str, alternate: Address | None = None, *, signed: bool = False
    ) -> None:
        self.phase = "gone"
        self._forget_requests()
        self.events.append(Refused(code, text, alternate, signed))

    def _lose(self, code: int, text: str) -> None:
        released = self.phase == "releasing"
        self.phase = "gone"
        self.problem = code, text
        self._forget_requests()
        self.channels.clear()
        self._refresh_at = NEVER
        self.events.append(Released() if released else Lost(code, text))

    def path_lost(self, text: str) -> None:
        """The stream to the server ended."""
        if self.phase == "allocating":
            self._refuse(701, text)
        elif self.phase in ("allocated", "releasing"):
            self._lose(701, text)

    # -- time --------------------------------------------------------------------------------------

    def next_time(self) -> float:
        """When `tick` wants to be called; infinity for never."""
        times = [request.next_at for request in (*self._requests.values(), *self._waiting)]
        if self.phase == "allocated":
            times.append(self._expires_at if self._is_ending else self._refresh_at)
            times.append(self._sent_at + self._keepalive)
            times.extend(p.refresh_at for p in self._permissions.values())
            times.extend(c.refresh_at for c in self.channels.values())
        return min(times, default=NEVER)

    def tick(self, now: float) -> None:
        """Do what is due."""
        due = now + _SLACK
        for transaction_id, request in list(self._requests.items()):
            if request.next_at <= due and transaction_id in self._requests:
                if request.deadline <= due:
                    del self._requests[transaction_id]
                    self._give_up(now, request)
                else:
                    request.rto *= 2
                    request.next_at = min(now + request.rto, request.deadline)
                    self._send(request.data)
        for request in [r for r in self._waiting if r.next_at <= due]:
            self._waiting.remove(request)
            if request.method != stun.ALLOCATE:
                request.deadline = now + self._timeout
            elif request.deadline <= due:
                self._give_up(now, request)  # the loop stood still meanwhile
                continue
            self._transmit(now, request)
        if self.phase != "allocated":
            return
        if self._is_ending and self._expires_at <= due and self.problem is not None:
            self._lose(*self.problem)
            return
        if self._refresh_at <= due:
            self._refresh_at = NEVER
            self._refresh(now)
        for host, permission in list(self._permissions.items()):
            if permission.refresh_at <= due:
                if permission.used or any(peer[0] == host for peer in self.channels):
                    permission.used = False
                    permission.refresh_at = NEVER
                    self._ask_permission(now, (host, 9))
                else:
                    del self._permissions[host]
        for peer, channel in self.channels.items():
            if channel.refresh_at <= due:
                channel.refresh_at = NEVER
                self._ask_channel(now, peer, channel)
        if self._sent_at + self._keepalive <= due:
            self._sent_at = now
            self._send(stun.encode(stun.BINDING_INDICATION, self._transaction_id(), b""))

    def _give_up(self, now: float, request: Request) -> None:
        """Give a request up that got no answer at all."""
        if request.method == stun.ALLOCATE:
            self._refuse(701, "the server did not answer")
        elif request.method == stun.REFRESH:
            if self.phase == "releasing" or now + self._timeout >= self._expires_at:
                self._lose(701, "the server did not answer")
            else:
                self._start(now, stun.REFRESH, request.body)
        elif request.method == stun.CREATE_PERMISSION and request.peer is not None:
            permission = self._permissions.get(request.peer[0])
            if permission is not None and permission.granted:
                self._ask_permission(now, request.peer)
            else:
                self._permissions.pop(request.peer[0], None)
        elif request.peer is not None:
            channel = self.channels.get(request.peer)
            if channel is not None:
                self._ask_channel(now, request.peer, channel)

    @property
    def permitted_hosts(self) -> frozenset[str]:
        """Peers whose permission stands."""
        return frozenset(host for host, p in self._permissions.items() if p.granted)


def _channel_number(number: int) -> bytes:
    return stun.attribute(stun.CHANNEL_NUMBER, number.to_bytes(2, "big") + b"\0\0")


def _second_relayed(message: StunMessage) -> Address | None:
    """With ADDITIONAL-ADDRESS-FAMILY a success carries two relayed addresses (RFC 8656 7.3)."""
    for kind, value in message.repeated:
        if kind == stun.XOR_RELAYED_ADDRESS:
            return stun.unpack_xor_address(value, message.transaction_id)
    return None
