import asyncio
from types import SimpleNamespace

import pytest

from rtcpeer import errors
from rtcpeer.peer.errors import RTCError
from rtcpeer.peer.transports import (
    DtlsTransportCore,
    IceTransportCore,
    RTCDtlsTransport,
    RTCSctpTransport,
    SctpTransportCore,
)
from rtcpeer.values import DtlsTransportState, IceTransportState, SctpTransportState
from tests.unit.peer.owners import FakeOwner, watch


def make_dtls(owner=None):
    owner = owner or FakeOwner()
    ice = IceTransportCore(owner)
    ice.state = IceTransportState.CONNECTED
    core = DtlsTransportCore(owner, ice)
    owner.ice, owner.dtls = ice, core
    core.transport = SimpleNamespace(remote_certificates=[])
    return core, owner


def test_dtls_order_of_a_change():
    core, owner = make_dtls()
    watch(owner.log, core.face, "statechange", "error")
    assert core.face.state == "new"
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    assert owner.log == ["dtls changed connecting", "statechange connecting", "announced"]


def test_dtls_has_not_started_without_a_path():
    """webrtc-pc 5.5 "new": a handshake that is prepared and cannot be sent has not begun."""
    core, owner = make_dtls()
    watch(owner.log, core.face, "statechange")
    core.ice.state = IceTransportState.CHECKING
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    assert (core.face.state, owner.log) == ("new", [])
    core.on_path()
    core.on_path()
    assert owner.log == ["dtls changed connecting", "statechange connecting", "announced"]


def test_dtls_that_is_faster_than_the_news_of_its_path():
    core, owner = make_dtls()
    watch(owner.log, core.face, "statechange")
    core.ice.state = IceTransportState.CHECKING
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    core.on_dtls_state(DtlsTransportState.CONNECTED, None)
    core.on_path()
    assert [line for line in owner.log if line.startswith("state")] == [
        "statechange connecting",
        "statechange connected",
    ]
    core, owner = make_dtls()
    core.ice.state = IceTransportState.CHECKING
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    core.close()
    core.on_path()
    assert (core.face.state, owner.log) == ("closed", [])


def test_dtls_certificates_are_there_when_connected():
    core, _owner = make_dtls()
    assert core.face.getRemoteCertificates() == []
    core.transport.remote_certificates = [b"der"]
    seen = []
    core.face.onstatechange = lambda event: seen.append(core.face.getRemoteCertificates())
    core.on_dtls_state(DtlsTransportState.CONNECTING, None)
    core.on_dtls_state(DtlsTransportState.CONNECTED, None)
    assert seen == [[], [b"der"]]
    core.face.getRemoteCertificates().clear()
    assert core.face.getRemoteCertificates() == [b"der"]


def test_dtls_failure_fires_error_before_statechange():
    core, owner = make_dtls()
    watch(owner.log, core.face, "statechange", "error")
    errors_seen = []
    core.face.onerror = lambda event: errors_seen.append(event.error)
    core.on_dtls_state(DtlsTransportState.FAILED, errors.RTCError("fingerprint-failure", "no"))
    assert owner.log == ["dtls changed failed", "error failed", "statechange failed", "announced"]
    assert isinstance(errors_seen[0], RTCError)
    assert errors_seen[0].errorDetail == "fingerprint-failure"
    assert core.error is errors_seen[0]


def test_dtls_restart_is_the_same_object():
    core, _owner = make_dtls()
    face = core.face
    core.on_dtls_state(DtlsTransportState.CLOSED, None)
    core.on_dtls_state(DtlsTransportState.NEW, None)
    core.on_dtls_state(DtlsTransportState.CONNECTED, None)
    assert core.face is face
    assert face.state == "connected"


@pytest.mark.parametrize("announce", [False, True])
def test_dtls_close(announce):
    core, owner = make_dtls()
    watch(owner.log, core.face, "statechange")
    core.close(announce=announce)
    core.close(announce=True)
    core.on_dtls_state(DtlsTransportState.FAILED, None)
    assert core.face.state == "closed"
    assert owner.log == (["dtls changed closed", "statechange closed", "announced"] if announce else [])


def test_dtls_face():
    core, _ = make_dtls()
    assert core.face is core.face
    assert core.face.iceTransport is core.ice.face
    assert repr(core.face) == "<RTCDtlsTransport new>"
    with pytest.raises(TypeError, match="Illegal constructor"):
        RTCDtlsTransport()
    with pytest.raises(AttributeError):
        core.face.state = "x"


def test_without_a_face_nothing_is_fired():
    core, owner = make_dtls()
    core.on_dtls_state(DtlsTransportState.FAILED, errors.RTCError("dtls-failure", "no"))
    core.close()
    assert owner.log == ["dtls changed failed", "announced"]


# -- SCTP


def make_sctp():
    dtls, owner = make_dtls()
    core = SctpTransportCore(dtls)
    core.data = SimpleNamespace(max_channels=65535)
    return core, owner


def test_sctp_connects():
    core, _owner = make_sctp()
    face = core.face
    assert (face.state, face.maxMessageSize, face.maxChannels) == ("connecting", None, None)
    assert face.transport is core.dtls.face
    seen = []
    face.onstatechange = lambda event: seen.append((face.state.value, face.maxChannels))
    core.on_sctp_state(SctpTransportState.CONNECTED, None)
    core.on_sctp_state(SctpTransportState.CONNECTED, None)
    core.on_sctp_state(SctpTransportState.CLOSED, None)
    core.on_sctp_state(SctpTransportState.CONNECTED, None)
    assert seen == [("connected", 65535), ("closed", 65535)]
    assert repr(face) == "<RTCSctpTransport closed>"


@pytest.mark.parametrize(
    ("remote", "can_send", "expected"),
    [(0, 0, float("inf")), (0, 5, 5), (5, 0, 5), (3, 5, 3), (5, 3, 3), (65536, 262144, 65536)],
)
def test_max_message_size(remote, can_send, expected):
    core, _ = make_sctp()
    core.update_max_message_size(remote, can_send)
    assert core.face.maxMessageSize == expected


def test_sctp_close_of_a_section():
    core, owner = make_sctp()
    watch(owner.log, core.face, "statechange")
    core.close(announce=True)
    core.close(announce=True)
    core.on_sctp_state(SctpTransportState.CLOSED, None)
    assert owner.log == ["statechange closed"]


async def test_sctp_close_with_the_connection_is_told_in_a_task():
    core, owner = make_sctp()
    events = core.face.events()
    watch(owner.log, core.face, "statechange")
    core.close()
    assert core.face.state == "closed"
    assert owner.log == []
    await asyncio.sleep(0)
    assert owner.log == ["statechange closed"]
    assert [event.type async for event in events] == ["statechange"]


def test_sctp_close_needs_no_loop_when_nobody_listens():
    core, _ = make_sctp()
    core.close()
    other, _ = make_sctp()
    assert other.face.state == "connecting"
    other.close()
    assert other.face.state == "closed"


def test_sctp_illegal_constructor():
    with pytest.raises(TypeError, match="Illegal constructor"):
        RTCSctpTransport()
