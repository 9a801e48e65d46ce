"""Whatever is thrown at the test server and the virtual network, nothing escapes and nothing is invented."""

import asyncio
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from rtcpeer.testing import NatBehaviour, TurnServer, VirtualNetwork, run_virtual
from rtcpeer.testing.turn.stun import (
    Attribute,
    Kind,
    Method,
    ServerStunMessage,
    pack_address,
    parse_untrusted,
    unpack_address_untrusted,
)

addresses = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))
transactions = st.binary(min_size=12, max_size=12)
attributes = st.tuples(
    st.sampled_from(list(Attribute)).map(int) | st.integers(0, 0xFFFF), st.binary(max_size=40)
)


@st.composite
def messages(draw):
    """Well-formed messages with senseless content, signed or not, damaged or not."""
    message = ServerStunMessage(
        draw(st.sampled_from(list(Method)).map(int) | st.sampled_from([0x00A, 0x020])),
        draw(st.sampled_from(list(Kind))),
        draw(transactions),
        draw(st.lists(attributes, max_size=6)),
    )
    data = message.to_bytes(draw(st.none() | st.just(b"key")), fingerprint=draw(st.booleans()))
    if draw(st.booleans()):
        position = draw(st.integers(0, len(data) - 1))
        data = data[:position] + bytes([draw(st.integers(0, 255))]) + data[position + 1 :]
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


@given(st.binary(max_size=100) | messages())
def test_parsing_raises_value_error_or_nothing(data):
    with contextlib.suppress(ValueError):
        message = parse_untrusted(data)
        assert all(isinstance(value, bytes) for _, value in message.attributes)


@given(addresses, st.none() | transactions)
def test_addresses_survive(address, transaction):
    assert unpack_address_untrusted(pack_address(address, transaction), transaction) == address


@given(
    transactions, st.lists(st.tuples(st.integers(0, 0x7FFF), st.binary(max_size=30)), max_size=5), st.binary()
)
def test_messages_survive_and_only_the_right_key_fits(transaction, pairs, key):
    special = {Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT}
    message = ServerStunMessage(1, Kind.REQUEST, transaction, [p for p in pairs if p[0] not in special])
    parsed = parse_untrusted(message.to_bytes(key))
    assert parsed.attributes[:-1] == message.attributes
    assert parsed.is_signed_with(key)
    assert not parsed.is_signed_with(key + b"x")


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=60) | messages(), max_size=20), st.sampled_from(["udp", "tcp"]))
def test_the_server_survives_everything(thrown, transport):
    async def main():
        network = VirtualNetwork(delay=0)
        host, client = network.add_host("server"), network.add_host("client")
        async with TurnServer(users={"u": "p"}, network=host.network, transports=("udp", "tcp")) as server:
            if transport == "udp":
                socket = await client.network.open_udp(client.address, 0, lambda *_: None)
                for data in thrown:
                    socket.send(data, (host.address, 3478))
            else:
                socket = await client.network.open_stream(host.address, 3478, receiver=lambda _: None)
                for data in thrown:
                    socket.write(data)
            await asyncio.sleep(1)
            socket.close()
            assert server.allocations == ()

    errors = []

    async def watched():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        await main()

    run_virtual(watched())
    assert errors == []


dependences = st.sampled_from(["endpoint-independent", "address-dependent", "address-and-port-dependent"])
behaviours = st.builds(
    NatBehaviour,
    mapping=dependences,
    filtering=dependences,
    port_preservation=st.booleans(),
    hairpinning=st.booleans(),
)


@settings(max_examples=50)
@given(behaviours, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=15))
def test_answers_always_find_the_one_who_asked(behaviour, questions):
    async def main():
        network = VirtualNetwork(delay=0)
        router = network.add_router("r", nat=behaviour)
        inner = [await _Echo().open(router.add_host(f"i{n}"), 5000) for n in range(3)]
        outer = [
            await _Echo(answers=True).open(network.add_host(f"o{n // 2}{n}"), 1000 + n % 2) for n in range(4)
        ]
        for asker, asked in questions:
            inner[asker].socket.send(b"%d" % asker, outer[asked].socket.local_address)
        await asyncio.sleep(1)
        for number, echo in enumerate(inner):
            assert echo.received == [b"%d" % number] * sum(asker == number for asker, _ in questions)

    run_virtual(main())


class _Echo:
    def __init__(self, answers=False):
        self.answers, self.received = answers, []

    async def open(self, host, port):
        self.socket = await host.network.open_udp(host.address, port, self.receive)
        return self

    def receive(self, data, source):
        self.received.append(data)
        if self.answers:
            self.socket.send(data, source)


@settings(max_examples=25)
@given(
    st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=8),
    st.integers(0, 1000),
    st.floats(0, 0.3),
    st.floats(0, 0.3),
)
def test_streams_are_complete_and_in_order(writes, seed, loss, reorder):
    async def main():
        network = VirtualNetwork(seed=seed, delay=0.005)
        left, right = network.add_host("left", loss=loss, reorder=reorder), network.add_host("right")
        received = []
        await right.network.listen_stream(right.address, 80, lambda _: received.append)
        stream = await left.network.open_stream(right.address, 80, receiver=lambda _: None)
        for data in writes:
            stream.write(data)
        stream.close()
        for _ in range(1000):
            await asyncio.sleep(0.1)
            if received[-1:] == [None]:
                break
        assert received.pop() is None
        assert b"".join(received) == b"".join(writes)

    run_virtual(main())
