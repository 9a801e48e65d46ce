"""What the states of a connection are derived from, and what is told when."""

from rtcpeer.peer.core.aggregates import Aggregates
from rtcpeer.values import DtlsTransportState, IceGatheringState, IceTransportState


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
