"""The aggregated states, against the tables of webrtc-pc 4.3.2 to 4.3.4, over all combinations."""

import itertools

import pytest

from rtcpeer.peer.core.states import Aggregates, connection_state, ice_connection_state, ice_gathering_state
from rtcpeer.values import DtlsTransportState, IceGatheringState, IceTransportState

ICE = [str(state) for state in IceTransportState]
DTLS = [str(state) for state in DtlsTransportState]


def some(values, size):
    return [c for n in range(size + 1) for c in itertools.combinations_with_replacement(values, n)]


def all_in(states, *allowed):
    return all(state in allowed for state in states)


def expected_ice(ice):
    """Row by row, as the table of RTCIceConnectionState says."""
    if "failed" in ice:
        return "failed"
    if "disconnected" in ice:
        return "disconnected"
    if all_in(ice, "new", "closed"):
        return "new"
    if "new" in ice or "checking" in ice:
        return "checking"
    if all_in(ice, "completed", "closed"):
        return "completed"
    assert all_in(ice, "connected", "completed", "closed")
    return "connected"


def expected_connection(ice, dtls):
    """Row by row, as the table of RTCPeerConnectionState says."""
    if "failed" in ice or "failed" in dtls:
        return "failed"
    if "disconnected" in ice:
        return "disconnected"
    if all_in(ice, "new", "closed") and all_in(dtls, "new", "closed"):
        return "new"
    if all_in(ice, "connected", "completed", "closed") and all_in(dtls, "connected", "closed"):
        return "connected"
    return "connecting"


def test_ice_connection_state():
    for states in some(ICE, 3):
        ice = [IceTransportState(s) for s in states]
        assert ice_connection_state(ice, closed=False) == expected_ice(states), states
        assert ice_connection_state(ice, closed=True) == "closed"


def test_connection_state():
    for ice_states, dtls_states in itertools.product(some(ICE, 2), some(DTLS, 2)):
        ice = [IceTransportState(s) for s in ice_states]
        dtls = [DtlsTransportState(s) for s in dtls_states]
        expected = expected_connection(ice_states, dtls_states)
        assert connection_state(ice, dtls, closed=False) == expected, (ice_states, dtls_states)
        assert connection_state(ice, dtls, closed=True) == "closed"


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "new"),
        (["new"], "new"),
        (["new", "complete"], "new"),
        (["complete", "complete"], "complete"),
        (["new", "gathering"], "gathering"),
        (["complete", "gathering"], "gathering"),
    ],
)
def test_gathering_state(states, expected):
    assert ice_gathering_state([IceGatheringState(s) for s in states]) == expected


class FakeTransports:
    def __init__(self):
        self.ice = [IceTransportState.NEW]
        self.dtls = [DtlsTransportState.NEW]
        self.gathering = [IceGatheringState.NEW]

    def ice_states(self):
        return self.ice

    def dtls_states(self):
        return self.dtls

    def gathering_states(self):
        return self.gathering


def make():
    transports, log = FakeTransports(), []
    return Aggregates("pc", transports, lambda event: log.append(event.type)), transports, log


def test_a_state_changes_at_once_and_is_told_when_asked():
    aggregates, transports, log = make()
    transports.ice = [IceTransportState.CONNECTED]
    transports.dtls = [DtlsTransportState.CONNECTED]
    announce = aggregates.derive()
    assert (aggregates.ice_connection, aggregates.connection) == ("connected", "connected")
    assert log == []
    announce()
    assert log == ["iceconnectionstatechange", "connectionstatechange"]
    aggregates.derive()()
    assert len(log) == 2


def test_the_end_of_gathering_is_followed_by_the_null_candidate():
    aggregates, transports, log = make()
    transports.gathering = [IceGatheringState.GATHERING]
    aggregates.derive_gathering()()
    transports.gathering = [IceGatheringState.COMPLETE]
    aggregates.derive_gathering()()
    assert log == ["icegatheringstatechange", "icegatheringstatechange", "icecandidate"]


def test_after_close_nothing_changes_and_nothing_is_held():
    aggregates, transports, log = make()
    aggregates.close()
    aggregates.release()
    transports.ice = [IceTransportState.CONNECTED]
    aggregates.announce_all()
    assert (aggregates.ice_connection, aggregates.connection, aggregates.ice_gathering) == (
        "closed",
        "closed",
        "new",
    )
    assert log == []
