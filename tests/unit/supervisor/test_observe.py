"""What a supervisor sees of a connection, through the W3C API alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rtcpeer.supervisor.observe import (
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
