"""What a set-up and an idle pair cost: datagrams, wake-ups and checks are counted in virtual time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from typing import Any

from rtcpeer import RTCPeerConnection
from rtcpeer.dtls.records import describe_untrusted
from rtcpeer.testing import PeerPair, VirtualNetwork
from rtcpeer.testing.clock import run_virtual
from rtcpeer.testing.net.packet import Packet

SECONDS = 60.0


def count_timers(loop: asyncio.AbstractEventLoop) -> Counter[str]:
    """From now on, which timers fire, by name."""
    fired: Counter[str] = Counter()
    call_at = loop.call_at

    def counting(when: float, callback: Any, *args: Any, **keywords: Any) -> asyncio.TimerHandle:
        def fire(*given: Any) -> None:
            fired[callback.__qualname__] += 1
            callback(*given)

        return call_at(when, fire, *args, **keywords)

    loop.call_at = counting  # type: ignore[method-assign]
    return fired


def test_an_idle_pair_wakes_for_consent_and_for_little_else() -> None:
    async def main() -> None:
        network = VirtualNetwork(seed=1, delay=0.0)
        async with PeerPair(network=network) as pair:
            channel = pair.offerer.createDataChannel("x")
            await pair.connect()
            await asyncio.sleep(10)
            agents = [end.sctp.transport.iceTransport._core.agent for end in (pair.offerer, pair.answerer)]
            settles = 0
            for agent in agents:
                settle = agent.core._settle

                def counted(now: float, settle: Any = settle) -> None:
                    nonlocal settles
                    settles += 1
                    settle(now)

                agent.core._settle = counted
            pairs = [agent.core.route for agent in agents]
            requests = -sum(pair.requests_sent for pair in pairs)
            fired = count_timers(asyncio.get_running_loop())
            await asyncio.sleep(SECONDS)
            requests += sum(pair.requests_sent for pair in pairs)
            assert channel.readyState == "open"
            # RFC 7675 5.1: every 4 to 6 s from both ends
            assert 20 <= requests <= 30
            # the agents' timers alone, and few of them find that what they were set for has moved away
            del fired["_set_result_unless_cancelled"]  # the sleep's own
            assert set(fired) == {"Alarm._fire"}
            assert fired["Alarm._fire"] <= 1.3 * requests
            # an answer, and a request of the other end, say only that the path is alive
            assert settles <= 1.3 * requests

    run_virtual(main())


def test_nothing_is_sent_twice_when_a_pair_is_set_up() -> None:
    async def main() -> None:
        network = VirtualNetwork(seed=1, delay=0.01)
        sent: Counter[str] = Counter()

        def tap(event: str, packet: Packet, _reason: str) -> None:
            if event == "sent" and 19 < packet.data[0] < 64:
                sent[describe_untrusted([packet.data]).partition(" (")[0]] += 1

        network.tap(tap)
        async with PeerPair(network=network) as pair:
            channel = pair.offerer.createDataChannel("x")
            await pair.connect()
            await asyncio.sleep(1)
            assert channel.readyState == "open"
        data = sent.pop("data")
        assert sent.pop("Alert") == 2  # close_notify
        assert len(sent) == 4
        # a path that was found is told once: flights that are on their way are not repeated
        assert set(sent.values()) == {1}, sent
        # SCTP: INIT, INIT ACK, COOKIE ECHO and COOKIE ACK of both ends, the channel, acknowledgements, ABORT
        assert data <= 14

    run_virtual(main())


def test_the_parts_of_a_closed_connection_do_not_wait_for_the_garbage_collector() -> None:
    async def main() -> None:
        pair = PeerPair(network=VirtualNetwork(seed=1, delay=0.0))
        pair.offerer.createDataChannel("x")
        await pair.connect()
        parts: dict[str, weakref.ref[Any]] = {}
        for name, end in (("offerer", pair.offerer), ("answerer", pair.answerer)):
            (link,) = end._session_.executor.transports.values()
            (generation,) = link.agent.core.generations
            association = end._session_.executor.data.transport._association
            for part in (link.agent.pool, generation, association):
                parts[f"{type(part).__name__} of the {name}"] = weakref.ref(part)
        del end, link, generation, association, part
        # connections that nobody else holds
        with VirtualNetwork(seed=1).add_host("a").active():
            alone = RTCPeerConnection()
        alone.createDataChannel("x")
        await alone.setLocalDescription()
        parts |= {
            "context": weakref.ref(alone._session_.context),
            "transport": weakref.ref(alone._session_.executor.transports[0]),
        }
        gc.collect()
        gc.disable()
        try:
            await pair.close()
            await alone.close()
            del alone
            await asyncio.sleep(1)
            assert [name for name, part in parts.items() if part() is not None] == []
        finally:
            gc.enable()

    run_virtual(main())
