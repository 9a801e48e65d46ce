"""Which candidates pair, and what peer-reflexive candidates look like."""

from __future__ import annotations

import pytest

from rtcpeer.ice.checklist import Checklist
from rtcpeer.ice.pair import Local, Pair, Remote
from rtcpeer.ice.pairing import Pairing, can_pair, reflexive_local, reflexive_remote
from rtcpeer.ice.settings import IceSettings
from rtcpeer.values import NEVER, CandidateType
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
    assert (found.component, found.protocol) == (1, "udp")
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
    assert (new.candidate.type, new.base) == (CandidateType.PRFLX, None)
    assert (new.candidate.address, new.candidate.port) == ("203.0.113.5", 6000)
    assert (new.candidate.related_address, new.candidate.related_port) == ("192.0.2.1", 1000)


def test_an_address_that_the_candidate_hides_does_not_come_out():
    made, base = side()
    hidden = Local("L", candidate("0f1e2d3c.local"), base, 1000)
    pair = Pair("P", None, hidden, base, Remote("R", candidate(), ("192.0.2.9", 9)))
    assert reflexive_local(pair, ("203.0.113.5", 6000), [hidden], made.context) is hidden


class Rig:
    """The pairing of a generation whose local candidates have a base each."""

    def __init__(
        self, bases: int = 1, *, protocol: str = "udp", tcp_type: str | None = None, **settings: int
    ):
        made = Side(Wire(), True, IceSettings(**settings))  # type: ignore[arg-type]
        self.context = made.context
        self.bases = [made.base("192.0.2.1", 1000 + number) for number in range(bases)]
        self.locals = []
        for number, base in enumerate(self.bases):
            base.protocol = protocol
            told = candidate("192.0.2.1", 1000 + number, protocol=protocol, tcp_type=tcp_type)
            self.locals.append(Local(f"L{number}", told, base, 1000))
        self.checklist = Checklist(made.context.settings.max_pairs)
        self.pairing = Pairing(self.context, self.locals, object(), self.checklist)

    def tell(self, port: int, kind: CandidateType = CandidateType.HOST, prio: int = 100, **more: str) -> bool:
        told = candidate("192.0.2.9", port, kind, prio, **more)  # type: ignore[arg-type]
        return self.pairing.add_remote(1.0, told, ("192.0.2.9", port))

    def check_from(self, port: int, base: int = 0, keep: Pair | None = None) -> Pair | None:
        return self.pairing.learn_remote(1.0, self.bases[base], ("192.0.2.9", port), 77, "them", keep=keep)

    def pair(self, port: int, base: int = 0) -> Pair:
        found = self.checklist.find(self.bases[base], ("192.0.2.9", port))
        assert found is not None
        return found

    @property
    def known(self) -> list[tuple[int, CandidateType]]:
        return [(remote.address[1], remote.candidate.type) for remote in self.pairing.remotes]


def test_a_told_candidate_gives_a_peer_reflexive_one_its_name_and_its_pairs_their_places():
    rig = Rig(2)
    assert rig.tell(8)
    rig.check_from(9)
    learned, other = rig.pair(9), rig.pair(8)
    before = (learned.rank, other.rank, other.priority)
    assert rig.tell(9, CandidateType.HOST, 5000)
    assert rig.known == [(8, CandidateType.HOST), (9, CandidateType.HOST)]
    assert rig.pair(9, 1).rank == learned.rank < before[0]
    as_it_should_be = Pair("P", None, learned.local, learned.base, learned.remote)
    as_it_should_be.set_priority(True)
    assert rig.pair(9, 1).priority == learned.priority == as_it_should_be.priority
    assert (other.rank, other.priority) == before[1:]


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (CandidateType.HOST, CandidateType.SRFLX),
        (CandidateType.HOST, CandidateType.PRFLX),
        (CandidateType.HOST, CandidateType.HOST),
        (CandidateType.PRFLX, CandidateType.PRFLX),
    ],
)
def test_a_candidate_that_is_known_by_name_keeps_it(known, told):
    rig = Rig()
    assert rig.tell(9, known)
    assert not rig.tell(9, told, 5000)
    assert rig.known == [(9, known)]
    assert rig.pairing.remotes[0].candidate.priority == 100


def test_the_same_address_of_another_transport_is_another_candidate():
    rig = Rig()
    assert rig.tell(9)
    assert rig.tell(9, protocol="tcp", tcp_type="active")
    assert len(rig.pairing.remotes) == 2


def test_remote_candidates_are_taken_up_to_the_bound():
    rig = Rig(max_remote_candidates=2)
    assert [rig.tell(port) for port in (7, 8, 9)] == [True, True, False]
    assert [port for port, _ in rig.known] == [7, 8]


@pytest.mark.parametrize(("tcp_type", "wanted"), [("passive", True), ("active", False), ("so", False)])
def test_only_who_listens_on_tcp_wants_somebody_to_connect(tcp_type: str, wanted: bool):
    rig = Rig()
    assert not rig.pairing.wants_active
    rig.tell(9, protocol="tcp", tcp_type=tcp_type)
    assert rig.pairing.wants_active is wanted


def test_a_candidate_is_paired_with_all_that_are_known_and_those_without_a_base_with_none():
    rig = Rig(2)
    rig.tell(8)
    rig.tell(9)
    assert len(rig.checklist.pairs) == 4
    assert rig.pairing.first_pair_at == 1.0
    reflexive = Local("L", candidate("203.0.113.1", 1000, CandidateType.SRFLX), None)
    rig.locals.append(reflexive)
    rig.pairing.pair_local(2.0, reflexive)
    rig.tell(7)
    assert len(rig.checklist.pairs) == 6
    late = FakeBase(Wire(), ("192.0.2.1", 1009))
    rig.locals.append(Local("L", candidate("192.0.2.1", 1009), late))
    rig.pairing.pair_local(3.0, rig.locals[-1])
    assert {pair.address[1] for pair in rig.checklist.pairs.values() if pair.base is late} == {7, 8, 9}
    # a permission of the relay's, if it is one
    assert late.prepared == [("192.0.2.9", 8), ("192.0.2.9", 9), ("192.0.2.9", 7)]
    assert rig.pairing.first_pair_at == 1.0


def test_no_time_of_a_first_pair_while_there_is_none():
    rig = Rig()
    rig.tell(9, protocol="tcp", tcp_type="active")
    assert rig.pairing.first_pair_at == NEVER


def test_a_check_from_an_unknown_address_forms_pairs_with_all_bases():
    """RFC 8445 7.3.1.3 and 7.3.1.4: the pair of the check first; a told candidate has no other rights."""
    rig = Rig(2)
    found = rig.check_from(9, base=1)
    assert found is rig.pair(9, base=1)
    assert found.remote.candidate.priority == 77
    assert rig.known == [(9, CandidateType.PRFLX)]
    assert rig.pair(9, base=0).remote is found.remote
    rig.check_from(10)
    foundations = {remote.candidate.foundation for remote in rig.pairing.remotes}
    assert len(foundations) == 2


def test_a_check_over_tcp_pairs_with_the_connection_that_it_came_over_alone():
    rig = Rig(2, protocol="tcp", tcp_type="passive")
    assert rig.check_from(9) is rig.pair(9)
    assert len(rig.checklist.pairs) == 1
    assert rig.pairing.remotes[0].candidate.tcp_type == "active"


def test_a_check_for_a_pair_that_had_been_pruned_brings_it_back_whatever_its_priority():
    rig = Rig(max_pairs=1)
    rig.tell(8, prio=1)
    rig.tell(9, prio=9000)
    assert rig.checklist.find(rig.bases[0], ("192.0.2.9", 8)) is None
    found = rig.check_from(8)
    assert found is rig.pair(8)
    assert rig.known == [(8, CandidateType.HOST), (9, CandidateType.HOST)]


def test_a_told_candidate_of_low_priority_moves_no_other():
    rig = Rig(max_pairs=1)
    rig.tell(8, prio=9000)
    rig.tell(9, prio=1)
    assert rig.checklist.find(rig.bases[0], ("192.0.2.9", 9)) is None


def test_the_pair_in_use_makes_no_room_for_a_check():
    rig = Rig(max_pairs=1)
    rig.tell(8)
    assert rig.check_from(9, keep=rig.pair(8)) is None
    assert rig.known == [(8, CandidateType.HOST)]
    assert rig.check_from(9) is rig.pair(9)


def test_a_check_at_a_base_that_is_nobodys_or_from_one_that_is_refused_makes_nothing():
    rig = Rig()
    foreign = FakeBase(Wire(), ("192.0.2.1", 1009))
    assert rig.pairing.learn_remote(1.0, foreign, ("192.0.2.9", 9), 77, None) is None
    rig.context.accepts_remote = lambda told: told.port != 9
    assert rig.check_from(9) is None
    assert rig.known == []
    assert not rig.checklist.pairs


def test_the_longest_unheard_candidate_that_is_not_in_use_makes_room():
    rig = Rig(max_peer_reflexive=3)
    for port in (6, 7, 8):
        rig.check_from(port)
    rig.tell(5)
    # of what is in use one was never heard, and one for long; of the others one was heard later
    nominated, in_use = rig.pair(6), rig.pair(7)
    nominated.nominated = True
    rig.pair(7).heard_at, rig.pair(8).heard_at = 1.0, 50.0
    assert rig.check_from(9, keep=in_use) is not None
    assert [port for port, _ in rig.known] == [6, 7, 5, 9]
    assert [pair.address[1] for pair in rig.checklist.pairs.values()] == [6, 7, 5, 9]
    # a candidate with several pairs counts by the one that was heard last
    rig.pair(9).nominated = True
    assert rig.check_from(10, keep=in_use) is None
    assert [port for port, _ in rig.known] == [6, 7, 5, 9]


def test_a_candidate_was_heard_when_the_latest_of_its_pairs_was():
    rig = Rig(2, max_peer_reflexive=2)
    for port in (6, 7):
        rig.check_from(port)
    rig.pair(6, 0).heard_at, rig.pair(6, 1).heard_at = 90.0, 10.0
    rig.pair(7, 0).heard_at, rig.pair(7, 1).heard_at = 80.0, 85.0
    rig.check_from(8)
    assert [port for port, _ in rig.known] == [6, 8]


def test_the_first_response_alone_says_which_candidate_is_ours():
    """RFC 8445 7.2.5.3.1; a later address of ours is not told to the statistics as another end of this pair."""
    rig = Rig()
    rig.tell(9)
    pair = rig.pair(9)
    rig.pairing.learn_local(pair, None)
    assert pair.valid_local is None
    before = pair.rank
    rig.pairing.learn_local(pair, ("203.0.113.5", 6000))
    assert pair.valid_local is not None
    assert (pair.valid_local.candidate.type, pair.rank) == (CandidateType.PRFLX, before + 1)
    first = pair.valid_local
    rig.pairing.learn_local(pair, ("203.0.113.5", 7000))
    assert pair.valid_local is first


def test_another_role_is_another_priority_of_every_pair():
    rig = Rig(2)
    rig.tell(8, prio=5000)
    rig.tell(9, prio=5)
    before = {id(pair): pair.priority for pair in rig.checklist.pairs.values()}
    rig.context.controlling = False
    rig.pairing.recompute_priorities()
    # RFC 8445 6.1.2.3: the last bit says whose candidate is the better one
    changed = [pair.priority - before[id(pair)] for pair in rig.checklist.pairs.values()]
    assert changed == [1, 1, -1, -1]
    rig.tell(10, prio=5000)
    assert rig.pair(10).priority == rig.pair(8).priority
