"""A STUN/TURN client that says exactly what a test tells it to."""

import asyncio
import secrets
import struct

from rtcpeer.net.current import current_network
from rtcpeer.testing.turn.stun import (
    Attribute,
    Kind,
    Method,
    ServerStunMessage,
    long_term_key,
    parse_untrusted,
    unpack_address_untrusted,
)

UDP_TRANSPORT = bytes((17, 0, 0, 0))


class Client:
    """Over UDP, or over a stream with `connect`."""

    def __init__(self, server_address, username=None, password=None):
        self.server = server_address
        self.username, self.password = username, password
        self.realm = self.nonce = None
        self.answers = asyncio.Queue()
        self.data = asyncio.Queue()
        self.stream = self.socket = None
        self.buffer = b""
        self.ended = asyncio.Event()

    async def open(self, network=None, host="127.0.0.1"):
        network = network or current_network.get()
        self.socket = await network.open_udp(host, 0, lambda data, _source: self.message(data))
        return self

    async def connect(self, network=None, tls=None, server_hostname=None):
        network = network or current_network.get()
        self.stream = await network.open_stream(
            *self.server, receiver=self.chunk, tls=tls, server_hostname=server_hostname
        )
        return self

    def close(self):
        (self.stream or self.socket).close()

    def chunk(self, data):
        if data is None:
            self.ended.set()
            return
        self.buffer += data
        while len(self.buffer) >= 4:
            length = int.from_bytes(self.buffer[2:4], "big")
            size = 4 + length + (-length % 4) if self.buffer[0] & 0x40 else 20 + length
            if len(self.buffer) < size:
                return
            message, self.buffer = self.buffer[:size], self.buffer[size:]
            self.message(message)

    def message(self, data):
        if data[0] & 0x40:
            number, length = struct.unpack_from("!HH", data)
            self.data.put_nowait((number, data[4 : 4 + length]))
            return
        message = parse_untrusted(data)
        if message.kind == Kind.INDICATION:
            peer = unpack_address_untrusted(message.get(Attribute.XOR_PEER_ADDRESS), message.transaction_id)
            self.data.put_nowait((peer, message.get(Attribute.DATA)))
        else:
            self.answers.put_nowait(message)

    def send(self, data):
        if self.stream is not None:
            self.stream.write(data)
        else:
            self.socket.send(data, self.server)

    @property
    def key(self):
        return long_term_key(self.username, self.realm, self.password)

    def request(self, method, *attributes):
        message = ServerStunMessage(method, Kind.REQUEST, secrets.token_bytes(12))
        for kind, value in attributes:
            if isinstance(value, tuple):
                message.add_address(kind, value)
            else:
                message.add(kind, value)
        return message

    def sign(self, message):
        if self.realm is not None:
            message.add(Attribute.USERNAME, self.username.encode())
            message.add(Attribute.REALM, self.realm.encode())
            message.add(Attribute.NONCE, self.nonce)
            return message.to_bytes(self.key)
        return message.to_bytes()

    async def answer(self, timeout=60.0):
        async with asyncio.timeout(timeout):
            return await self.answers.get()

    async def once(self, method, *attributes):
        """One request as it is, one answer."""
        self.send(self.sign(self.request(method, *attributes)))
        return await self.answer()

    async def ask(self, method, *attributes):
        """A request that answers challenges, as a client does; returns the message that came last."""
        for _ in range(3):
            answer = await self.once(method, *attributes)
            code = error_of(answer)
            if code not in (401, 438) or (code == 401 and self.realm is not None):
                return answer
            self.realm = answer.get_text(Attribute.REALM)
            self.nonce = answer.get(Attribute.NONCE)
        return answer

    async def allocate(self, *attributes):
        answer = await self.ask(Method.ALLOCATE, (Attribute.REQUESTED_TRANSPORT, UDP_TRANSPORT), *attributes)
        assert answer.kind == Kind.RESPONSE, error_of(answer)
        return address_of(answer, Attribute.XOR_RELAYED_ADDRESS)

    async def received(self):
        async with asyncio.timeout(60):
            return await self.data.get()


def error_of(message):
    value = message.get(Attribute.ERROR_CODE)
    return None if value is None else value[2] * 100 + value[3]


def address_of(message, attribute):
    return unpack_address_untrusted(message.get(attribute), message.transaction_id)


def lifetime_of(message):
    return struct.unpack("!I", message.get(Attribute.LIFETIME))[0]
