"""Request handler of the test server: the answer to each STUN and TURN request (RFC 8489, RFC 8656).

Owns: allocations by 5-tuple.  Never: listening sockets; `turn` opens those and hands
each message in here with the path it came on.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

from rtcpeer.aio import start_task
from rtcpeer.net.network import Address, Network
from rtcpeer.testing.turn.allocation import CHANNEL_HEADER, Allocation, ClientPath
from rtcpeer.testing.turn.auth import Authenticator, Refusal
from rtcpeer.testing.turn.settings import DEFAULT_LIFETIME, TurnCounters, TurnFaults, TurnSettings
from rtcpeer.testing.turn.stun import (
    Attribute,
    Kind,
    Method,
    ServerStunMessage,
    parse_untrusted,
    unpack_address_untrusted,
)

UDP = 17
FAMILIES = {1: "ipv4", 2: "ipv6"}
MAX_PERMISSIONS, MAX_CHANNELS = 1000, 1000


class TurnService:
    """Answers messages.

    Args:
        network: where relayed sockets are opened.
        relay_hosts: family ("ipv4", "ipv6") -> local address that is relayed from.
        settings, faults, counters: shared with the user.
    """

    def __init__(
        self,
        network: Network,
        relay_hosts: dict[str, str],
        settings: TurnSettings,
        faults: TurnFaults,
        counters: TurnCounters,
    ) -> None:
        self._network = network
        self._relay_hosts = relay_hosts
        self._settings = settings
        self._faults = faults
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self.allocations: dict[Hashable, Allocation] = {}
        # 5-tuple -> user of an Allocate whose socket is being opened
        self._pending: dict[Hashable, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.authenticator: Authenticator = Authenticator(settings, faults)
        self._closed = False

    # -- life --------------------------------------------------------------------------------------

    def close(self) -> Coroutine[Any, Any, None]:
        """Drop everything now; the coroutine ends when no task is left."""
        self._closed = True
        for path in list(self.allocations):
            self._remove(path)
            self._counters.dropped += 1
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()

        async def wait() -> None:
            await asyncio.gather(*tasks, return_exceptions=True)

        return wait()

    def path_closed(self, key: Hashable) -> None:
        """A client's stream has ended, and its allocation with it (RFC 8656 section 7)."""
        if key in self.allocations:
            self._remove(key)
            self._counters.dropped += 1

    def _remove(self, key: Hashable) -> None:
        self.allocations.pop(key).close()

    # -- messages ----------------------------------------------------------------------------------

    def handle(self, key: Hashable, path: ClientPath, data: bytes) -> None:
        """Process one message of a client.

        Args:
            key: names the 5-tuple.
            path: the way back.
            data: one STUN message or ChannelData, complete.
        """
        if self._closed or self._faults.silent:
            return
        if data and data[0] & 0xC0 == 0x40:
            self._channel_data(key, data)
            return
        try:
            message = parse_untrusted(data)
        except ValueError:
            self._counters.invalid += 1
            return
        if message.kind == Kind.REQUEST:
            self._request(key, path, message)
        elif message.kind == Kind.INDICATION and message.method == Method.SEND:
            self._send_indication(key, message)

    def _channel_data(self, key: Hashable, data: bytes) -> None:
        allocation = self.allocations.get(key)
        number, length = CHANNEL_HEADER.unpack_from(data) if len(data) >= 4 else (0, 1 << 16)
        if allocation is None or length > len(data) - 4:
            self._counters.refused += 1
            return
        allocation.to_peer_on_channel(number, data[4 : 4 + length])

    def _send_indication(self, key: Hashable, message: ServerStunMessage) -> None:
        allocation = self.allocations.get(key)
        value, data = message.get(Attribute.XOR_PEER_ADDRESS), message.get(Attribute.DATA)
        self._counters.indications += 1
        if allocation is None or value is None or data is None or message.unknown_required():
            self._counters.refused += 1
            return
        try:
            peer = unpack_address_untrusted(value, message.transaction_id)
        except ValueError:
            self._counters.invalid += 1
            return
        allocation.to_peer(peer, data)

    def _request(self, key: Hashable, path: ClientPath, request: ServerStunMessage) -> None:
        name = Method(request.method).name.lower() if request.method in _METHODS else "unknown"
        self._counters.requests[name] += 1
        if name in self._faults.silent_methods:
            return
        signing_key: bytes | None = None
        try:
            unknown = request.unknown_required()
            if unknown:
                refusal = Refusal(420)
                refusal.attributes.append(
                    (Attribute.UNKNOWN_ATTRIBUTES, b"".join(struct.pack("!H", kind) for kind in unknown))
                )
                raise refusal
            if request.method == Method.BINDING:
                self._refuse_by_fault(name)
                self._answer(path, self._response(request, path), None)
                return
            username, signing_key = self.authenticator.authenticate(request)
            self._refuse_by_fault(name)
            handler = _METHODS.get(request.method)
            if handler is None:
                raise Refusal(400)
            allocation = self.allocations.get(key)
            if (
                allocation is not None
                and allocation.username != username
                and request.method != Method.ALLOCATE
            ):
                raise Refusal(441)
            response = handler(self, key, path, request, username, signing_key)
            if response is not None:
                self._answer(path, response, signing_key)
        except Refusal as refusal:
            self._refuse(path, request, refusal, signing_key)

    def _refuse_by_fault(self, name: str) -> None:
        code = self._faults.errors.get(name)
        if code is not None:
            raise Refusal(code, challenge=code in (401, 438))

    def _refuse(
        self, path: ClientPath, request: ServerStunMessage, refusal: Refusal, key: bytes | None
    ) -> None:
        self._counters.errors[refusal.code] += 1
        response = ServerStunMessage(request.method, Kind.ERROR, request.transaction_id)
        response.add_error(refusal.code, refusal.reason)
        response.attributes.extend(refusal.attributes)
        if refusal.challenge:
            response.add(Attribute.REALM, self._settings.realm.encode())
            response.add(Attribute.NONCE, self.authenticator.make_nonce())
        self._answer(path, response, None if refusal.challenge else key)

    def _response(self, request: ServerStunMessage, path: ClientPath) -> ServerStunMessage:
        response = ServerStunMessage(request.method, Kind.RESPONSE, request.transaction_id)
        if request.method in (Method.BINDING, Method.ALLOCATE):
            response.add_address(Attribute.XOR_MAPPED_ADDRESS, self._faults.mapped_address or path.address)
        return response

    def _answer(self, path: ClientPath, response: ServerStunMessage, key: bytes | None) -> bytes:
        response.add(Attribute.SOFTWARE, self._settings.software.encode())
        if key is not None and self._faults.sign_wrongly:
            key = b"not the key"
        data = response.to_bytes(key)
        if self._faults.garbage:
            # the header stays, so that it looks like an answer until one reads on
            data = data[:20] + bytes(b ^ 0xA5 for b in data[20:])
        self._send(path, data)
        return data

    def _send(self, path: ClientPath, data: bytes) -> None:
        if self._faults.delay > 0:
            self._loop.call_later(self._faults.delay, path.send, data)
        else:
            path.send(data)

    # -- methods: RFC 8656 -------------------------------------------------------------------------

    def _allocate(
        self, key: Hashable, path: ClientPath, request: ServerStunMessage, username: str, signing_key: bytes
    ) -> ServerStunMessage | None:
        """Section 7.2; the numbers are its steps. Step 1, authentication, is done."""
        allocation = self.allocations.get(key)
        if allocation is not None:  # 2
            if allocation.allocate_transaction != request.transaction_id:
                raise Refusal(437)
            self._send(path, allocation.allocate_response)
            return None
        if key in self._pending:
            return None
        transport = request.get(Attribute.REQUESTED_TRANSPORT)  # 3
        if transport is None or len(transport) != 4:
            raise Refusal(400)
        if transport[0] != UDP:
            raise Refusal(442)
        family = self._requested_family(request)
        even = request.get(Attribute.EVEN_PORT)
        if request.get(Attribute.RESERVATION_TOKEN) is not None:  # 5: we never gave one
            raise Refusal(400 if even or request.get(Attribute.REQUESTED_ADDRESS_FAMILY) else 508)
        if even and even[0] & 0x80:  # 8: pairs of ports are not kept
            raise Refusal(508)
        settings = self._settings
        users = [*(a.username for a in self.allocations.values()), *self._pending.values()]
        if settings.user_quota is not None and users.count(username) >= settings.user_quota:  # 10
            raise Refusal(486)
        if settings.total_quota is not None and len(users) >= settings.total_quota:
            raise Refusal(508)
        if self._faults.redirect is not None:  # 11
            refusal = Refusal(300)
            message = ServerStunMessage(0, Kind.ERROR, b"").add_address(
                Attribute.ALTERNATE_SERVER, self._faults.redirect
            )
            refusal.attributes.extend(message.attributes)
            raise refusal
        self._pending[key] = username
        allocation = Allocation(path, username, signing_key, self._counters, self._faults)
        task = start_task(self._open(key, path, request, allocation, family, even is not None))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    def _requested_family(self, request: ServerStunMessage) -> str:
        value = request.get(Attribute.REQUESTED_ADDRESS_FAMILY)
        if value is None:
            family = "ipv4"
        elif len(value) == 4:
            family = FAMILIES.get(value[0], "")
        else:
            raise Refusal(400)
        if family not in self._relay_hosts:
            raise Refusal(440)
        return family

    async def _open(
        self,
        key: Hashable,
        path: ClientPath,
        request: ServerStunMessage,
        allocation: Allocation,
        family: str,
        even: bool,
    ) -> None:
        try:
            host = self._relay_hosts[family]
            ports = self._settings.relay_ports
            socket = await self._network.open_udp(host, 0, allocation.from_peer, port_range=ports)
            while even and socket.local_address[1] % 2:
                odd = socket
                socket = await self._network.open_udp(host, 0, allocation.from_peer, port_range=ports)
                odd.close()
        except OSError:
            self._refuse(path, request, Refusal(508), allocation.key)
            return
        finally:
            self._pending.pop(key, None)
        allocation.attach(socket)
        self.allocations[key] = allocation
        self._counters.created += 1
        response = self._response(request, path)
        response.add_address(Attribute.XOR_RELAYED_ADDRESS, allocation.relayed_address)
        response.add(Attribute.LIFETIME, struct.pack("!I", int(self._extend(key, allocation, request))))
        allocation.allocate_transaction = request.transaction_id
        allocation.allocate_response = self._answer(path, response, allocation.key)

    def _extend(self, key: Hashable, allocation: Allocation, request: ServerStunMessage) -> float:
        value = request.get(Attribute.LIFETIME)
        asked = struct.unpack("!I", value)[0] if value is not None and len(value) == 4 else DEFAULT_LIFETIME
        longest = self._settings.max_lifetime
        lifetime = min(max(float(asked), DEFAULT_LIFETIME), longest)

        def expire(expired: Allocation) -> None:
            if self.allocations.get(key) is expired:
                self._remove(key)
                self._counters.expired += 1

        allocation.refresh(lifetime, expire)
        return lifetime

    def _existing(self, key: Hashable) -> Allocation:
        allocation = self.allocations.get(key)
        if allocation is None:
            raise Refusal(437)
        return allocation

    def _refresh(
        self, key: Hashable, path: ClientPath, request: ServerStunMessage, username: str, signing_key: bytes
    ) -> ServerStunMessage:
        """Section 8.2."""
        value = request.get(Attribute.LIFETIME)
        allocation = self._existing(key)
        family = request.get(Attribute.REQUESTED_ADDRESS_FAMILY)
        if family is not None and FAMILIES.get(family[0] if family else 0) != allocation.family:
            raise Refusal(443)
        if value == b"\0\0\0\0":
            self._remove(key)
            self._counters.released += 1
            lifetime = 0
        else:
            lifetime = int(self._extend(key, allocation, request))
        return self._response(request, path).add(Attribute.LIFETIME, struct.pack("!I", lifetime))

    def _peer(self, allocation: Allocation, value: bytes, request: ServerStunMessage) -> Address:
        try:
            peer = unpack_address_untrusted(value, request.transaction_id)
        except ValueError:
            raise Refusal(400) from None
        if (":" in peer[0]) != (allocation.family == "ipv6"):
            raise Refusal(443)
        if self._settings.allow_peer is not None and not self._settings.allow_peer(peer[0]):
            raise Refusal(403)
        return peer

    def _create_permission(
        self, key: Hashable, path: ClientPath, request: ServerStunMessage, username: str, signing_key: bytes
    ) -> ServerStunMessage:
        """Section 10.2."""
        allocation = self._existing(key)
        peers = [self._peer(allocation, v, request) for v in request.get_all(Attribute.XOR_PEER_ADDRESS)]
        if not peers:
            raise Refusal(400)
        if len(allocation.permissions | {p[0] for p in peers}) > MAX_PERMISSIONS:
            raise Refusal(508)
        for peer in peers:
            allocation.permit(peer[0], self._settings.permission_lifetime)
        return self._response(request, path)

    def _channel_bind(
        self, key: Hashable, path: ClientPath, request: ServerStunMessage, username: str, signing_key: bytes
    ) -> ServerStunMessage:
        """Section 12.2."""
        allocation = self._existing(key)
        number, peer_value = request.get(Attribute.CHANNEL_NUMBER), request.get(Attribute.XOR_PEER_ADDRESS)
        if number is None or len(number) != 4 or peer_value is None:
            raise Refusal(400)
        channel = int.from_bytes(number[:2], "big")
        if not 0x4000 <= channel <= 0x4FFF:
            raise Refusal(400)
        peer = self._peer(allocation, peer_value, request)
        if len(allocation.channels) >= MAX_CHANNELS and channel not in allocation.channels:
            raise Refusal(508)
        if not allocation.bind(channel, peer, self._settings.channel_lifetime):
            raise Refusal(400)
        allocation.permit(peer[0], self._settings.permission_lifetime)
        return self._response(request, path)


_Handler = Callable[
    [TurnService, Hashable, ClientPath, ServerStunMessage, str, bytes], ServerStunMessage | None
]
_METHODS: dict[int, _Handler | None] = {
    Method.BINDING: None,
    Method.ALLOCATE: TurnService._allocate,
    Method.REFRESH: TurnService._refresh,
    Method.CREATE_PERMISSION: TurnService._create_permission,
    Method.CHANNEL_BIND: TurnService._channel_bind,
}
