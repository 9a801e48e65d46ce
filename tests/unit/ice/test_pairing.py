"""Which candidates pair, and what peer-reflexive candidates look like."""

from __future__ import annotations

import pytest

from rtcpeer.ice.pair import Local, Pair, Remote
from rtcpeer.ice.pairing import can_pair, reflexive_local, reflexive_remote
from rtcpeer.values import CandidateType
from tests.unit.ice.support import FakeBase, Side, Wire, candidate


def side() -> tuple[Side, FakeBase]:
    made = Side(Wire(), True)
    return made, made.base("192.0.2.1", 1000)


@pytest.mark.parametrize(
    ("address", "protocol", "expected"),
    [("192.0.2.9", "udp", True), ("2001:db8::9", "udp", False), ("192.0.2.9", "tcp", False)],
)
def test_candidates_of_one_family_and_one_transport_pair(address, protocol, expected):
    _, base = side()
    remote = Remote("R", candidate(address, protocol=protocol), (address, 9))
    assert can_pair(Local("L", candidate(), base), base, remote) is expected


@pytest.mark.parametrize(
    ("ours", "theirs", "kind", "expected"),
    [
        ("active", "passive", CandidateType.HOST, True),
        ("active", "active", CandidateType.HOST, False),
        ("passive", "active", CandidateType.HOST, False),  # it has to connect first
        ("passive", "active", CandidateType.PRFLX, True),
    ],
)
def test_of_two_tcp_candidates_the_active_one_connects(ours, theirs, kind, expected):
    _, base = side()
    base.protocol = "tcp"
    local = Local("L", candidate(protocol="tcp", tcp_type=ours), base)
    remote = Remote("R", candidate(kind=kind, protocol="tcp", tcp_type=theirs), ("192.0.2.9", 9))
    assert can_pair(local, base, remote) is expected


def test_the_candidate_behind_a_check_from_an_unknown_address():
    _, base = side()
    found = reflexive_remote(Local("L", candidate(), base), base, ("192.0.2.9", 9), 1234, 1, "them")
    assert (found.type, found.address, found.port) == (CandidateType.PRFLX, "192.0.2.9", 9)
    assert (found.priority, found.ufrag, found.tcp_type) == (1234, "them", None)
    other = reflexive_remote(Local("L", candidate(), base), base, ("192.0.2.9", 9), 1234, 2, "them")
    assert other.foundation != found.foundation


def test_a_mapped_address_is_a_known_candidate_or_a_new_one():
    made, base = side()
    own = Local("L1", candidate(), base, 1000)
    pair = Pair("P", None, own, base, Remote("R", candidate(), ("192.0.2.9", 9)))
    known = Local("L2", candidate("203.0.113.5", 5000, CandidateType.SRFLX), None)
    assert reflexive_local(pair, base.address, [own, known], made.context) is own
    assert reflexive_local(pair, ("203.0.113.5", 5000), [own, known], made.context) is known
    new = reflexive_local(pair, ("203.0.113.5", 6000), [own, known], made.context)
    assert (new.candidate.type, new.candidate.port, new.base) == (CandidateType.PRFLX, 6000, None)
    assert (new.candidate.related_address, new.candidate.related_port) == ("192.0.2.1", 1000)


def test_an_address_that_the_candidate_hides_does_not_come_out():
    made, base = side()
    hidden = Local("L", candidate("0f1e2d3c.local"), base, 1000)
    pair = Pair("P", None, hidden, base, Remote("R", candidate(), ("192.0.2.9", 9)))
    assert reflexive_local(pair, ("203.0.113.5", 6000), [hidden], made.context) is hidden
