"""Whatever signaling delivers is read, or refused with a TypeError; what was read survives JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from rtcpeer.peer.data_channel import read_data_channel_init
from rtcpeer.peer.descriptions import (
    RTCIceCandidate,
    RTCSessionDescription,
    parsed_candidate,
    read_candidate,
    read_description,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
CANDIDATE_TEXTS = st.text() | st.from_regex(
    r"candidate:[0-9a-z]{1,4} [0-3] (udp|TCP|sctp) [0-9]{1,11} [0-9a-f.:]{1,12} [0-9]{1,6} typ (host|relay|odd)"
    r"( (raddr|rport|tcptype|ufrag|x) [0-9a-z]{1,6}){0,3}",
    fullmatch=True,
)


def attempt(read, *arguments):
    try:
        return read(*arguments)
    except TypeError:
        return None


@given(
    st.dictionaries(
        st.sampled_from(["candidate", "sdpMid", "sdpMLineIndex", "usernameFragment", "relayProtocol", "url"]),
        SCALARS | CANDIDATE_TEXTS,
    )
)
def test_candidate_dictionaries(init):
    attempt(read_candidate, init)
    candidate = attempt(RTCIceCandidate, init)
    if candidate is not None:
        assert read_candidate(candidate).candidate == candidate.candidate


@given(CANDIDATE_TEXTS, st.text(), st.integers(0, 65535), st.none() | st.text())
def test_candidates_survive_json(text, mid, index, ufrag):
    candidate = RTCIceCandidate(candidate=text, sdpMid=mid, sdpMLineIndex=index, usernameFragment=ufrag)
    copy = RTCIceCandidate(json.loads(json.dumps(candidate.toJSON())))
    assert copy == candidate
    assert parsed_candidate(copy) == parsed_candidate(candidate)
    assert (parsed_candidate(copy) is None) == (copy.port is None) == (copy.component is None)


@given(st.dictionaries(st.sampled_from(["type", "sdp"]), SCALARS | st.sampled_from(["offer", "rollback"])))
def test_description_dictionaries(init):
    read = attempt(read_description, init)
    made = attempt(RTCSessionDescription, init)
    assert (read is None) == (made is None)
    if made is not None:
        assert read_description(json.loads(json.dumps(made.toJSON()))) == read


@given(
    SCALARS,
    st.dictionaries(
        st.sampled_from(
            ["ordered", "maxPacketLifeTime", "maxRetransmits", "protocol", "negotiated", "id", "priority"]
        ),
        SCALARS,
    ),
)
def test_data_channel_arguments(label, init):
    parameters = attempt(read_data_channel_init, label, init)
    if parameters is not None:
        parameters.label.encode()
        parameters.protocol.encode()
        assert parameters.negotiated == (parameters.id is not None)
        assert parameters.max_retransmits is None or parameters.max_packet_life_time is None
