import base64
import dataclasses
from types import SimpleNamespace

import aiortc
import pytest

from rtcpeer.ice.agent.stats import AgentStats, CandidateStats, PairStats
from rtcpeer.ice.pair import PairStatus
from rtcpeer.peer.stats import (
    MediaRecord,
    ReportBuilder,
    RTCStatsReport,
    TransportRecord,
    find_selector,
    follow,
)
from rtcpeer.values import Candidate, CandidateType, Codec, IceRole, IceTransportState

# webrtc-pc 8.6, what these records can tell
MANDATORY = {
    "codec": {"payloadType", "mimeType", "clockRate", "channels", "sdpFmtpLine"},
    "inbound-rtp": {"ssrc", "kind", "transportId", "codecId", "trackIdentifier", "remoteId"},
    "outbound-rtp": {"ssrc", "kind", "transportId", "codecId", "remoteId", "mediaSourceId"},
    "remote-inbound-rtp": {"ssrc", "kind", "transportId", "codecId", "localId", "roundTripTime"},
    "remote-outbound-rtp": {"ssrc", "kind", "transportId", "codecId", "localId", "remoteTimestamp"},
    "media-source": {"trackIdentifier", "kind"},
    "peer-connection": {"dataChannelsOpened", "dataChannelsClosed"},
    "data-channel": {"label", "dataChannelIdentifier", "state"},
    "transport": {
        "bytesSent",
        "bytesReceived",
        "selectedCandidatePairId",
        "localCertificateId",
        "remoteCertificateId",
        "dtlsState",
        "iceRole",
        "iceState",
        "iceLocalUsernameFragment",
        "selectedCandidatePairChanges",
    },
    "candidate-pair": {
        "transportId",
        "localCandidateId",
        "remoteCandidateId",
        "state",
        "nominated",
        "bytesSent",
        "bytesReceived",
        "totalRoundTripTime",
        "responsesReceived",
        "currentRoundTripTime",
    },
    "local-candidate": {"address", "port", "protocol", "candidateType", "url"},
    "remote-candidate": {"address", "port", "protocol", "candidateType"},
    "certificate": {"fingerprint", "fingerprintAlgorithm", "base64Certificate"},
}


def agent_stats():
    local = Candidate("1", 1, "udp", 9, "192.0.2.1", 1000, CandidateType.SRFLX, url="stun:s", ufrag="u")
    remote = Candidate("2", 1, "udp", 8, "192.0.2.2", 2000, CandidateType.HOST, url="hidden")
    pair = PairStats(
        id="p",
        local_candidate_id="l",
        remote_candidate_id="r",
        state=PairStatus.SUCCEEDED,
        nominated=True,
        packets_sent=1,
        packets_received=2,
        bytes_sent=3,
        bytes_received=4,
        last_packet_sent=5.0,
        last_packet_received=None,
        total_round_trip_time=0.5,
        current_round_trip_time=0.25,
        requests_received=1,
        requests_sent=2,
        responses_received=2,
        responses_sent=1,
        consent_requests_sent=0,
        packets_discarded_on_send=0,
        bytes_discarded_on_send=0,
    )
    return AgentStats(
        state=IceTransportState.CONNECTED,
        role=IceRole.CONTROLLING,
        local_ufrag="u",
        pairs=(pair,),
        local_candidates=(CandidateStats("l", local, False),),
        remote_candidates=(CandidateStats("r", remote, True),),
        selected_pair_id="p",
        selected_pair_changes=1,
        packets_sent=1,
        packets_received=2,
        bytes_sent=3,
        bytes_received=4,
    )


OPUS = Codec(
    "audio/opus", 48000, 2, fmtp=(("minptime", "10"), ("useinbandfec", "1"), ("x", None)), payload_type=111
)


def full_builder(salt="salt"):
    builder = ReportBuilder(salt, 1000.5, monotonic_offset_ms=100.0)
    builder.add_connection(channels_opened=2, channels_closed=1)
    builder.add_channel(
        "1", {"label": "x", "protocol": "", "dataChannelIdentifier": 0, "state": "open", "no": None}
    )
    builder.add_transport(
        TransportRecord(
            "0", agent_stats(), {"dtlsState": "connected", "bytesSent": 99}, b"own", [b"leaf", b"ca"]
        )
    )
    outbound = {"type": "outbound-rtp", "ssrc": 1, "kind": "audio", "payloadType": 111, "rid": None}
    report = {
        "type": "remote-inbound-rtp",
        "ssrc": 1,
        "kind": "audio",
        "roundTripTime": 0.1,
        "timestamp": 7.0,
    }
    builder.add_media(
        MediaRecord(
            "sender",
            "s0",
            "0",
            [outbound, report],
            (OPUS,),
            source={"type": "media-source", "kind": "audio", "trackIdentifier": "t"},
        )
    )
    inbound = {"type": "inbound-rtp", "ssrc": 1, "kind": "audio", "payloadType": 111}
    sent = {"type": "remote-outbound-rtp", "ssrc": 1, "kind": "audio", "remoteTimestamp": 1.0}
    builder.add_media(MediaRecord("receiver", "r0", "0", [inbound, sent], (OPUS,), track_id="rt"))
    return builder


def test_every_mandatory_member():
    report = full_builder().report()
    seen = {type: {name for s in report.of_type(type) for name in s} for type in MANDATORY}
    assert {type: names - seen[type] for type, names in MANDATORY.items()} == {t: set() for t in MANDATORY}
    for id, entry in report.items():
        assert entry["id"] == id
        assert entry.type
        assert None not in entry.values()


def test_references_lead_somewhere():
    report = full_builder().report()
    for entry in report.values():
        for name, value in entry.items():
            if name.endswith("Id"):
                assert value in report, (entry.type, name)
    outbound = report.of_type("outbound-rtp")[0]
    assert report[outbound.remoteId].localId == outbound.id
    assert report[outbound.mediaSourceId].trackIdentifier == "t"
    assert report[outbound.codecId].sdpFmtpLine == "minptime=10;useinbandfec=1;x"
    assert "payloadType" not in outbound
    inbound = report.of_type("inbound-rtp")[0]
    assert report[inbound.remoteId].type == "remote-outbound-rtp"
    transport = report[inbound.transportId]
    pair = report[transport.selectedCandidatePairId]
    assert report[pair.localCandidateId].url == "stun:s"
    assert "url" not in report[pair.remoteCandidateId]
    assert report[report[transport.remoteCertificateId].issuerCertificateId].base64Certificate == (
        base64.b64encode(b"ca").decode()
    )


def test_times():
    report = full_builder().report()
    assert report.of_type("peer-connection")[0].timestamp == 1000.5
    assert report.of_type("remote-inbound-rtp")[0].timestamp == 7.0
    pair = report.of_type("candidate-pair")[0]
    assert pair.lastPacketSentTimestamp == 5100.0
    assert "lastPacketReceivedTimestamp" not in pair


def test_application_bytes_are_the_agents():
    transport = full_builder().report().of_type("transport")[0]
    assert (transport.bytesSent, transport.dtlsState, transport.iceRole) == (3, "connected", "controlling")


def test_ids_are_stable_and_salted():
    assert set(full_builder().report()) == set(full_builder().report())
    assert not set(full_builder().report()) & set(full_builder("other").report())


def test_selection():
    builder = full_builder()
    sender = {entry.type for entry in builder.report_for("sender").values()}
    assert sender == {
        "outbound-rtp",
        "remote-inbound-rtp",
        "codec",
        "media-source",
        "transport",
        "candidate-pair",
        "local-candidate",
        "remote-candidate",
        "certificate",
    }
    receiver = {entry.type for entry in builder.report_for("receiver").values()}
    assert {"inbound-rtp", "remote-outbound-rtp", "codec", "transport"} <= receiver
    assert not receiver & {"outbound-rtp", "peer-connection", "data-channel", "media-source"}
    assert len(builder.report_for("nobody")) == 0


def test_before_anything_is_negotiated():
    builder = ReportBuilder("", 0.0)
    builder.add_media(MediaRecord("s", "0", None, (), source={"type": "media-source", "kind": "audio"}))
    builder.add_media(MediaRecord("q", "1", None, [{"type": "outbound-rtp", "ssrc": 5, "payloadType": 96}]))
    report = builder.report()
    assert [entry.type for entry in report.values()] == ["outbound-rtp"]
    assert set(report.of_type("outbound-rtp")[0]) == {"id", "timestamp", "type", "ssrc"}


def test_two_transports_with_the_same_ssrc():
    builder = ReportBuilder("", 0.0)
    for transport in "01":
        stream = {"type": "inbound-rtp", "ssrc": 5, "payloadType": 111}
        builder.add_media(MediaRecord(transport, transport, transport, [stream], (OPUS,)))
    assert len(builder.report().of_type("inbound-rtp")) == 2
    assert len(builder.report().of_type("codec")) == 2


def test_two_codecs_with_one_payload_type_on_one_transport():
    builder = ReportBuilder("", 0.0)
    stereo = dataclasses.replace(OPUS, fmtp=(("stereo", "1"),))
    codecs = (dataclasses.replace(OPUS, fmtp=()), stereo, Codec("video/VP8", 90000, payload_type=111))
    for ssrc, codec in enumerate((*codecs, stereo)):
        stream = {"type": "inbound-rtp", "ssrc": ssrc, "payloadType": 111}
        builder.add_media(MediaRecord(ssrc, str(ssrc), "0", [stream], (codec,)))
    report = builder.report()
    shown = [report[entry["codecId"]] for entry in report.of_type("inbound-rtp")]
    assert [(c["mimeType"], c.get("sdpFmtpLine")) for c in shown] == [
        ("audio/opus", None),
        ("audio/opus", "stereo=1"),
        ("video/VP8", None),
        ("audio/opus", "stereo=1"),
    ]
    assert len(report.of_type("codec")) == 3


def test_report_is_a_map():
    report = full_builder().report()
    assert len(report) == report.size == len(list(report.values()))
    id, entry = next(iter(report.items()))
    assert report.has(id)
    assert not report.has("x")
    assert report.get("x") is None
    assert report[id] is entry
    seen = []
    report.forEach(lambda stats, key, whole: seen.append((key, stats, whole)))
    assert seen[0] == (id, entry, report)
    assert repr(report) == f"<RTCStatsReport of {len(report)}>"
    with pytest.raises(KeyError):
        report["x"]
    with pytest.raises(TypeError):
        report["x"] = {}
    with pytest.raises(AttributeError, match="has no member 'packetsSent'"):
        _ = report.of_type("peer-connection")[0].packetsSent
    assert len(RTCStatsReport()) == 0


def test_find_selector():
    track, other = object(), object()
    sender, receiver = SimpleNamespace(track=track), SimpleNamespace(track=other)
    assert find_selector(track, [sender], [receiver]) is sender
    assert find_selector(other, [sender], [receiver]) is receiver
    with pytest.raises(aiortc.InvalidAccessError, match="no sender"):
        find_selector(object(), [sender], [receiver])
    with pytest.raises(aiortc.InvalidAccessError, match="more than one"):
        find_selector(track, [sender, SimpleNamespace(track=track)], [])
    with pytest.raises(aiortc.InvalidAccessError):
        find_selector(track, [sender], [SimpleNamespace(track=track)])


def test_follow_ignores_what_is_not_there():
    report = full_builder().report()
    assert follow(report, ["nothing"]) == []


def test_what_the_program_gets_to_hear_is_the_playout():
    builder = ReportBuilder("s", 7.0)
    for key, kind in (("r0", "audio"), ("r1", "video")):
        stream = {"type": "inbound-rtp", "ssrc": 1, "kind": kind, "totalSamplesReceived": 960}
        builder.add_media(MediaRecord(key, key, None, [stream | {"totalSamplesDuration": 0.02}]))
    (playout,) = builder.report().of_type("media-playout")
    sound, picture = builder.report().of_type("inbound-rtp")
    assert sound["playoutId"] == playout["id"]
    assert "playoutId" not in picture
    assert (playout["kind"], playout["totalSamplesCount"], playout["totalSamplesDuration"]) == (
        "audio",
        960,
        0.02,
    )
    assert playout["synthesizedSamplesEvents"] == 0
    assert playout in builder.report_for("r0").values()
