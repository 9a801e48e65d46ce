"""What two supervised peers tell each other in descriptions, and what comes of it."""

from typing import Any

import pytest

from rtcpeer.supervisor.channel import QueueLimits, SupervisedChannel
from rtcpeer.supervisor.handover import MEMBER, Handover, read_report_untrusted
from rtcpeer.supervisor.policy import Reason
from tests.unit.config.virtual import virtual
from tests.unit.supervisor.test_channel import Telling


class Side:
    """One peer with its handover, without connections."""

    def __init__(self, identity: str, *, polite: bool) -> None:
        self.polite = polite
        self.channels: list[SupervisedChannel] = []
        self.senders: dict[str, int] = {}
        self.told: list[Any] = []
        self.handover = Handover(
            identity, polite=polite, channels=lambda: self.channels, senders=lambda: self.senders
        )

    def channel(self, label: str, *, ours: bool, **options: Any) -> SupervisedChannel:
        channel = SupervisedChannel(
            label,
            options,
            is_ours=ours,
            is_connected=lambda: True,
            limits=QueueLimits(),
            on_closed=self.channels.remove,
        )
        channel.onmessageslost = lambda e: self.told.extend(e.messages)
        self.channels.append(channel)
        return channel

    def say(self, type: str) -> dict[str, Any]:
        description: dict[str, Any] = {"type": type, "sdp": ""}
        self.handover.sign(description)
        return description

    def begin(self) -> None:
        for channel in self.channels:
            channel.detach(None, Reason.API)
        self.handover.begin_connection()


def introduce(first: Side, second: Side) -> None:
    second.handover.hear(first.say("offer"))
    first.handover.hear(second.say("answer"))
    first.handover.settle()


def pair() -> tuple[Side, Side, list[SupervisedChannel], list[Telling]]:
    a, b = Side("A", polite=True), Side("B", polite=False)
    introduce(a, b)
    ours = [
        a.channel("x", ours=True),
        a.channel("x", ours=True),
        a.channel("n", ours=True, negotiated=True, id=9),
    ]
    for label, options in (("x", {}), ("x", {}), ("n", {"negotiated": True, "id": 9})):
        b.channel(label, ours="id" in options, **options)
    inners = [Telling() for _ in ours]
    for channel, inner in zip(ours, inners, strict=True):
        channel.attach(inner, 1)
        for number in range(5):
            channel.send(f"{channel.label} {number}")
    return a, b, ours, inners


@virtual
@pytest.mark.parametrize("a_offers", [True, False])
async def test_the_counts_of_each_channel_decide(a_offers: bool) -> None:
    a, b, ours, _inners = pair()
    for channel, count in zip(b.channels, (1, 4, 5), strict=True):
        channel.delivery.received = count
    a.begin()
    b.begin()
    introduce(*((a, b) if a_offers else (b, a)))
    for channel, again in zip(ours, (4, 1, 0), strict=True):
        inner = Telling()
        channel.attach(inner, 2)
        channel.flush()
        assert inner.sent == [f"{channel.label} {number}" for number in range(5 - again, 5)]
    assert a.told == []


@virtual
async def test_what_the_offerer_received_meanwhile_is_recognised() -> None:
    a, b, ours, _inners = pair()
    b.channels[0].delivery.received = 2
    b.begin()
    a.begin()
    a.handover.hear(b.say("offer"))
    assert b.channels[0].delivery.note_received()  # by its old connection, after its offer
    b.handover.hear(a.say("answer"))
    b.handover.settle()
    inner = Telling()
    ours[0].attach(inner, 2)
    ours[0].flush()
    assert inner.sent == ["x 2", "x 3", "x 4"]
    assert [b.channels[0].delivery.note_received() for _ in inner.sent] == [False, True, True]
    assert b.channels[0].delivery.received == 5


@virtual
async def test_a_program_that_was_started_again_gets_what_was_not_acknowledged() -> None:
    a, _b, ours, inners = pair()
    inners[0].unacknowledgedMessages = 2
    a.begin()
    introduce(Side("another", polite=False), a)
    inner = Telling()
    ours[0].attach(inner, 2)
    ours[0].flush()
    assert inner.sent == ["x 3", "x 4"]
    assert a.told == []
    assert ours[0].delivery.sent == 2


@virtual
async def test_where_nobody_counts_the_application_is_told() -> None:
    a, _b, ours, inners = pair()
    inners[0].unacknowledgedMessages = 2
    inners[1].unacknowledgedMessages, inners[2].unacknowledgedMessages = 1, 0
    a.begin()
    a.say("offer")
    a.handover.hear({"type": "answer", "sdp": ""})
    a.handover.settle()
    assert a.told == ["x 3", "x 4", "x 4"]
    inner = Telling()
    ours[0].attach(inner, 2)
    ours[0].flush()
    assert inner.sent == []


@virtual
async def test_an_offer_that_was_ignored_settles_nothing() -> None:
    a, b, ours, _inners = pair()
    a.begin()
    b.begin()
    a.handover.hear(b.say("offer"))  # glare; ours stands
    b.channels[0].delivery.received = 5
    b.handover.hear(a.say("offer"))
    a.handover.hear(b.say("answer"))
    a.handover.settle()
    inner = Telling()
    ours[0].attach(inner, 2)
    ours[0].flush()
    assert inner.sent == []


@pytest.mark.parametrize(
    "said",
    [
        None,
        5,
        [],
        {},
        {"peer": ""},
        {"peer": 5},
        {"peer": "x" * 65},
        {"peer": "x", "of": 5},
    ],
)
def test_reports_that_make_no_sense(said: Any) -> None:
    assert read_report_untrusted({"type": "offer", MEMBER: said}) is None


def test_counts_that_make_no_sense_are_left_out() -> None:
    counts = {"a": -1, "b": True, "c": 1.5, "d": "1", "e": 2**60, "f": 7}
    report = read_report_untrusted({MEMBER: {"peer": "x", "of": "y", "received": counts, "resumes": [1]}})
    assert report is not None
    assert (report.received, report.resumes) == ({"f": 7}, {})
    flood = {str(number): 1 for number in range(5000)}
    report = read_report_untrusted({MEMBER: {"peer": "x", "received": flood}})
    assert report is not None
    assert report.received == {}


@virtual
@pytest.mark.parametrize(
    ("peer", "of", "again"),
    [
        ("B", "A", [3, 4]),
        # counts of what our predecessor has sent, or of another program there, say nothing of our messages
        ("B", "another", [0, 1, 2, 3, 4]),
        ("C", "A", [0, 1, 2, 3, 4]),
    ],
)
async def test_counts_are_those_of_the_same_two_programs(peer: str, of: str, again: list[int]) -> None:
    a, b, (channel, *_), _ = pair()
    a.begin()
    heard = b.say("offer")
    received = dict.fromkeys(a.handover._keys(), 3)
    heard[MEMBER] = {"peer": peer, "of": of, "received": received}
    a.handover.hear(heard)
    a.say("answer")
    inner = Telling()
    channel.attach(inner, 2)
    assert inner.sent == [f"x {number}" for number in again]
    assert not a.told


@virtual
async def test_a_connection_is_settled_once() -> None:
    a, b, (channel, *_), _ = pair()
    a.begin()
    heard = b.say("offer")
    heard[MEMBER]["received"] = dict.fromkeys(a.handover._keys(), 3)
    a.handover.hear(heard)
    first = a.say("answer")
    # the same connection is negotiated again, and the counts have gone on: nothing is in doubt any more
    inner = Telling()
    channel.attach(inner, 2)
    heard = b.say("offer")
    heard[MEMBER]["received"] = dict.fromkeys(a.handover._keys(), 0)
    a.handover.hear(heard)
    assert a.say("answer")[MEMBER]["resumes"] == first[MEMBER]["resumes"]
    assert inner.sent == ["x 3", "x 4"]


@virtual
async def test_channels_of_an_earlier_connection_are_not_resumed() -> None:
    a, b, ours, _ = pair()
    a.begin()
    a.handover.hear(b.say("offer"))
    assert len(a.say("answer")[MEMBER]["resumes"]) == len(ours)
    a.begin()
    a.channels.remove(ours[1])
    a.handover.hear(b.say("offer"))
    assert len(a.say("answer")[MEMBER]["resumes"]) == len(ours) - 1


@virtual
async def test_what_descriptions_say() -> None:
    a, b = Side("A", polite=True), Side("B", polite=False)
    assert a.say("offer")[MEMBER] == {"peer": "A"}
    a.senders = {"0": 3}
    channel = a.channel("x", ours=False)
    a.channel("y", ours=True)
    channel.delivery.received = 2
    # of whom nobody has heard nothing was counted
    assert a.say("offer")[MEMBER] == {"peer": "A", "senders": {"0": 3}}

    a.handover.hear(b.say("offer"))
    answer = a.say("answer")[MEMBER]
    assert answer["of"] == "B"
    assert answer["received"] == {}  # it is another program than before: both begin again
    assert answer["resumes"] == {"impolite 1 x": 1, "polite 1 y": 1}
    channel.delivery.received = 2
    offer = a.say("offer")[MEMBER]
    assert offer == {"peer": "A", "senders": {"0": 3}, "of": "B", "received": {"impolite 1 x": 2}}
    assert "resumes" in a.say("pranswer")[MEMBER]


@virtual
async def test_both_peers_name_a_channel_alike() -> None:
    a, b = Side("A", polite=True), Side("B", polite=False)
    for side, polite in ((a, True), (b, False)):
        side.channel("x", ours=polite)
        side.channel("x", ours=polite)
        side.channel("n", ours=True, negotiated=True, id=9)
        side.channel("x", ours=not polite)
    names = ["polite 1 x", "polite 2 x", "id 9", "impolite 1 x"]
    assert list(a.handover._keys()) == list(b.handover._keys()) == names


@virtual
async def test_who_says_nothing_is_nobody_from_then_on() -> None:
    a, b, _ours, _ = pair()
    assert a.say("offer")[MEMBER]["of"] == "B"
    a.begin()
    a.handover.hear({"type": "offer", "sdp": ""})
    said = a.say("answer")[MEMBER]
    assert said == {"peer": "A"}
    # and the same program, once it speaks again, is another one
    a.begin()
    a.handover.hear(b.say("offer"))
    assert a.say("answer")[MEMBER]["of"] == "B"


def test_a_sender_is_found_by_its_section() -> None:
    a, b = Side("A", polite=True), Side("B", polite=False)
    assert a.handover.sender_of("0") is None
    b.senders = {"0": 3, "1": 0}
    a.handover.hear(b.say("offer"))
    assert [a.handover.sender_of(mid) for mid in ("0", "1", "2")] == [3, 0, None]


@virtual
async def test_an_answer_that_does_not_say_where_a_channel_goes_on_changes_no_count() -> None:
    a, b, ours, _ = pair()
    ours[0].delivery.received = 4
    a.begin()
    a.say("offer")
    answer = b.say("answer")
    answer[MEMBER]["resumes"] = {"polite 2 x": 3}
    a.handover.hear(answer)
    a.handover.settle()
    assert [channel.delivery.received for channel in ours] == [4, 2, 0]


@virtual
async def test_numbers_in_an_offer_do_not_resume() -> None:
    """Only an answer says where its channels go on: the counts in an offer may still grow."""
    a, b, ours, _ = pair()
    ours[0].delivery.received = 4
    a.begin()
    offer = b.say("offer")
    offer[MEMBER]["resumes"] = {"polite 1 x": 3}
    a.handover.hear(offer)
    a.say("answer")
    assert ours[0].delivery.note_received()
    assert ours[0].delivery.received == 5


def test_the_largest_report_that_is_taken() -> None:
    counts: dict[Any, Any] = {str(number): number for number in range(4094)} | {"n": 2**53 - 1, "z": 0}
    report = read_report_untrusted(
        {MEMBER: {"peer": "x" * 64, "received": counts, "senders": {"a": 2**53, 7: 7, "b": 1}}}
    )
    assert report is not None
    assert (report.peer, report.of) == ("x" * 64, "")
    assert report.received == counts
    assert report.senders == {"b": 1}
    counts["one more"] = 1
    report = read_report_untrusted({MEMBER: {"peer": "x", "received": counts}})
    assert report is not None
    assert report.received == {}


@virtual
async def test_a_channel_that_the_answer_does_not_count_has_got_nothing() -> None:
    a, b, (channel, *_), _ = pair()
    a.begin()
    a.say("offer")
    answer = b.say("answer")
    answer[MEMBER]["received"] = {}
    a.handover.hear(answer)
    a.handover.settle()
    assert channel.delivery.sent == 0
    inner = Telling()
    channel.attach(inner, 2)
    channel.flush()
    assert inner.sent == [f"x {number}" for number in range(5)]
    assert channel.delivery.sent == 5


@virtual
async def test_counts_of_later_descriptions_of_a_connection_say_nothing() -> None:
    a, b, (channel, *_), _ = pair()
    b.channels[0].delivery.received = 5
    a.begin()
    b.begin()
    introduce(a, b)
    channel.attach(Telling(), 2)
    channel.send("x 5")
    for _ in range(3):
        channel.delivery.note_received()
    introduce(
        a, b
    )  # an ICE restart: what is on its way is not counted yet, and what came does not come again
    assert channel.delivery.sent == 6
    assert channel.delivery.note_received()
