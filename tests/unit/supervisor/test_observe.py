"""What a supervisor sees of a connection, through the W3C API alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.peer.errors import InvalidStateError
from rtcpeer.supervisor.observe import (
    MEDIA_INTERVAL,
    ConnectionWatch,
    bytes_received,
    dtls_state,
    dtls_transports,
    findings_of,
    has_media,
    ice_transports,
    undecrypted_for,
)


def transport(state: str = "connected") -> Any:
    return SimpleNamespace(state=state, iceTransport=object())


def test_each_transport_counts_once_and_stopped_transceivers_do_not():
    shared, own, gone = transport(), transport(), transport()

    def using(one: Any, direction: str = "sendrecv") -> Any:
        return SimpleNamespace(sender=SimpleNamespace(transport=one), direction=direction)

    pc: Any = SimpleNamespace(
        sctp=SimpleNamespace(transport=shared),
        getTransceivers=lambda: [using(shared), using(own), using(None), using(gone, "stopped")],
    )
    assert dtls_transports(pc) == [shared, own]
    assert ice_transports(pc) == [shared.iceTransport, own.iceTransport]
    assert has_media(pc)
    bare: Any = SimpleNamespace()
    assert (dtls_transports(bare), has_media(bare), findings_of(bare), findings_of(None)) == (
        [],
        False,
        (),
        (),
    )


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], None),
        (["connected", "failed", "closed"], "failed"),
        (["closed", "closed"], "closed"),
        (["closed", "connected"], "connected"),
        (["connected", "connecting"], "connecting"),
        (["connected", "new"], "new"),
    ],
)
def test_one_state_for_all_transports(states, expected):
    assert dtls_state([transport(state) for state in states]) == expected


async def test_numbers_of_all_transports_whether_statistics_are_mappings_or_objects():
    report: dict[str, Any] = {
        "T1": {"type": "transport", "bytesReceived": 100, "undecryptedFor": 1.5},
        "T2": SimpleNamespace(type="transport", bytesReceived=20),
        "P": {"type": "candidate-pair", "bytesReceived": 999},
    }

    async def statistics() -> dict[str, Any]:
        return report

    pc: Any = SimpleNamespace(getStats=statistics)
    assert await bytes_received(pc) == 120
    assert await undecrypted_for(pc) == 1.5
    report.clear()
    assert (await bytes_received(pc), await undecrypted_for(pc)) == (0, 0.0)


class Listened:
    def __init__(self, state: str) -> None:
        self.state = state
        self.listeners: list[Any] = []

    def addEventListener(self, type: str, listener: Any) -> None:
        self.listeners.append((type, listener))


class Counting:
    """A connection whose statistics are the next of a list; an exception in it is raised."""

    def __init__(self, *stats: Any) -> None:
        self.stats = list(stats)

    async def getStats(self) -> dict[str, Any]:
        found = self.stats.pop(0)
        if isinstance(found, Exception):
            raise found
        return {"t": {"type": "transport"} | found}


def test_each_transport_is_listened_to_once_for_each_connection():
    heard: list[Any] = []
    watch = ConnectionWatch(heard.append)
    one, other = Listened("connected"), Listened("connecting")
    pc: Any = SimpleNamespace(sctp=SimpleNamespace(transport=one))
    assert watch.dtls(pc) == "connected"
    pc.getTransceivers = lambda: [
        SimpleNamespace(sender=SimpleNamespace(transport=other), direction="sendonly")
    ]
    assert watch.dtls(pc) == "connecting"
    assert watch.dtls(pc) == "connecting"
    assert (one.listeners, other.listeners) == ([("statechange", heard.append)],) * 2
    watch.begin_connection()
    watch.dtls(pc)
    assert len(one.listeners) == 2


async def test_bytes_are_news_when_there_are_more_than_last_time():
    watch = ConnectionWatch(lambda _: None)
    counts = [0, 0, 5, 5, 9]
    pc: Any = Counting(*({"bytesReceived": count} for count in counts))
    assert [await watch.has_received(pc) for _ in counts] == [False, False, True, False, True]


async def test_bytes_before_a_silence_are_no_news_in_it():
    watch = ConnectionWatch(lambda _: None)
    pc: Any = Counting(
        {"bytesReceived": 5}, {"bytesReceived": 9}, {"bytesReceived": 12}, InvalidStateError("closed")
    )
    assert not await watch.has_received(pc)
    watch.forget_bytes()
    assert not await watch.has_received(pc)
    watch.begin_connection()
    assert not await watch.has_received(pc)
    assert not await watch.has_received(pc)  # the connection is closed


async def test_media_are_looked_at_now_and_then():
    watch = ConnectionWatch(lambda _: None)
    pc: Any = Counting({"undecryptedFor": 4.0}, {}, InvalidStateError("closed"))
    times = [0.0, MEDIA_INTERVAL / 2, MEDIA_INTERVAL, 2 * MEDIA_INTERVAL]
    assert [await watch.undecrypted_for(pc, now) for now in times] == [4.0, None, 0.0, None]
    assert pc.stats == []
