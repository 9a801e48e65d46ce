"""What a description says of itself: its sections, groups and sources."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rtcpeer.sdp import model
from rtcpeer.sdp.model import Connection, Group, Media, Msid, Origin, Rid, SdpSession, SimulcastStream, Ssrc
from rtcpeer.values import IceParameters

ICE = IceParameters("abcd", "0123456789012345678901")


def test_what_is_meant_where_nothing_is_said() -> None:
    """RFC 9429 sections 5.2.1 and 5.3.1."""
    session = SdpSession(Origin(7, 2))
    assert session.origin == Origin(7, 2, "-", "IN", "IP4", "127.0.0.1")
    assert (session.name, session.timing) == ("-", ("t=0 0",))
    assert (session.media, session.groups, session.ice_lite, session.extmap_allow_mixed) == (
        (),
        (),
        False,
        False,
    )
    media = Media("audio")
    assert (media.port, media.protocol, media.direction, media.has_direction) == (
        9,
        "UDP/TLS/RTP/SAVPF",
        "sendrecv",
        True,
    )
    flags = ("end_of_candidates", "bundle_only", "rtcp_mux", "rtcp_mux_only", "rtcp_reduced_size")
    assert not any(getattr(media, name) for name in (*flags, "extmap_allow_mixed", "mid_implied"))
    assert media.line == 0
    assert Connection() == Connection("0.0.0.0", "IP4", "IN")
    assert (Msid("s").track, Rid("r", "send").restrictions) == (None, "")


def test_where_a_section_was_read_does_not_make_it_another_one() -> None:
    read = Media("audio", mid="0", mid_implied=True, line=7)
    assert read == Media("audio", mid="0")
    assert repr(read) == repr(Media("audio", mid="0"))


@pytest.mark.parametrize(
    ("port", "bundle_only", "rejected"),
    [(0, False, True), (0, True, False), (9, False, False), (1, True, False)],
)
def test_a_section_is_rejected_by_port_zero_alone(port: int, bundle_only: bool, rejected: bool) -> None:
    """RFC 9143 section 6: with bundle-only port zero waits for the bundle."""
    assert Media("audio", port, bundle_only=bundle_only).rejected is rejected


@pytest.mark.parametrize(
    ("kind", "protocol", "is_rtp", "is_data"),
    [
        ("audio", "RTP/AVP", True, False),
        ("video", "UDP/TLS/RTP/SAVPF", True, False),
        ("application", "UDP/DTLS/SCTP", False, True),
        ("application", "dtls/sctp", False, True),
        ("application", "TCP/MSRP", False, False),
        ("audio", "UDP/DTLS/SCTP", True, False),
        ("text", "RTP/AVP", False, False),
    ],
)
def test_kinds_of_sections(kind: str, protocol: str, is_rtp: bool, is_data: bool) -> None:
    media = Media(kind, protocol=protocol)
    assert (media.is_rtp, media.is_data) == (is_rtp, is_data)


def test_the_layers_of_a_simulcast() -> None:
    running, paused = SimulcastStream(("a", "~b")), SimulcastStream(("~c", "d"))
    assert (running.rid, running.paused, paused.rid, paused.paused) == ("a", False, "c", True)


def test_attributes_of_a_source_are_found_in_any_case_the_first_of_a_name() -> None:
    source = Ssrc(1, (("CName", "x"), ("msid", "s t"), ("cname", "y"), ("flag", None)))
    assert (source.get("cname"), source.get("msid"), source.get("flag"), source.get("label")) == (
        "x",
        "s t",
        None,
        None,
    )


def test_sections_by_mid_and_by_bundle() -> None:
    media = (
        Media("application", protocol="TCP/MSRP"),
        Media("audio", mid="a"),
        Media("video", mid="v", ice=ICE),
        Media("audio", mid="a", ice=ICE),
        Media("application", protocol="UDP/DTLS/SCTP", mid="d"),
        Media("application", protocol="UDP/DTLS/SCTP", mid="e"),
    )
    groups = (
        Group("LS", ("a", "d")),
        Group("BUNDLE", ("nobody", "a", "v")),
        Group("BUNDLE", ("v", "d")),
        Group("BUNDLE", ("e",)),
    )
    session = SdpSession(Origin(1, 1), media, groups=groups)
    assert [session.find(mid) for mid in ("a", "v", "d", "x")] == [1, 2, 4, None]
    # the first group that names a section, of those that bundle
    assert session.bundle_of("a") is session.bundle_of("v") is groups[1]
    assert session.bundle_of("d") is groups[2]
    assert session.bundle_of(None) is session.bundle_of("x") is None
    # the first member that has transport attributes
    assert [session.speaker_of(group) for group in groups] == [None, media[2], media[2], None]
    assert session.data_index == 4
    assert SdpSession(Origin(1, 1), media[:4]).data_index is None
    assert dataclasses.replace(session, groups=()).bundle_of("a") is None


RECORDS = [
    kind
    for kind in vars(model).values()
    if dataclasses.is_dataclass(kind) and kind.__module__ == model.__name__
]


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_a_description_never_changes(kind: Any) -> None:
    """Plans, statistics and the sections of a session share its parts."""
    values: dict[str, Any] = {f.name: None for f in dataclasses.fields(kind) if f.init}
    if kind is SdpSession:
        values |= {"media": (), "groups": ()}
    part = kind(**values)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part, next(iter(values)), 1)
    assert not hasattr(part, "__dict__")
    assert hash(part) == hash(kind(**values))


def test_what_is_computed_once_is_not_shown() -> None:
    shown = repr(SdpSession(Origin(1, 1), (Media("audio", mid="a"),), groups=(Group("BUNDLE", ("a",)),)))
    assert not any(name in shown for name in ("_places", "_bundles", "_speakers", "mid_implied", "line"))
