"""Routing of packets to receivers: by MID, then SSRC, then payload type."""

import pytest

from rtcpeer.rtp.routing import LEARNED_SSRCS_MAX, RoutingTable


@pytest.fixture
def table() -> RoutingTable[str]:
    table: RoutingTable[str] = RoutingTable()
    table.add("sound", "0", [1], [111])
    table.add("picture", "1", [2, 3], [96, 97])
    return table


@pytest.mark.parametrize(
    ("ssrc", "mid", "payload_type", "receiver"),
    [
        (1, None, 96, "sound"),
        (3, None, 0, "picture"),
        # the MID says more than the announcement
        (1, "1", 111, "picture"),
        (9, "0", 96, "sound"),
        # one that nobody knows belongs to no section, whatever else is known
        (1, "7", 111, None),
        (9, None, 97, "picture"),
        (9, None, 5, None),
    ],
)
def test_whom_a_packet_goes_to(table, ssrc, mid, payload_type, receiver):
    assert table.find(ssrc, mid, payload_type) == receiver
    # what was found is known from now on
    assert table.by_ssrc.get(ssrc) == (receiver or ("sound" if ssrc == 1 else None))


def test_a_payload_type_of_two_sections_says_nothing(table):
    table.add("other", "2", [], [96])
    assert table.find(9, None, 96) is None
    assert table.find(9, None, 97) == "picture"


def test_of_a_receiver_that_goes_nothing_is_left(table):
    table.find(9, "1", 96)
    table.find(8, None, 111)
    table.remove("picture")
    assert (table.by_mid, table.by_ssrc, table.learned) == ({"0": "sound"}, {1: "sound", 8: "sound"}, (8,))
    assert table.find(10, None, 96) is None


def test_what_is_announced_later_is_not_forgotten_with_what_was_learned(table):
    table.find(9, None, 96)
    table.add("third", "2", [9], [])
    for ssrc in range(100, 100 + LEARNED_SSRCS_MAX + 5):
        table.find(ssrc, "1", 96)
    assert table.by_ssrc[9] == "third"
    assert len(table.learned) == LEARNED_SSRCS_MAX
    assert table.learned[0] == 105
    assert 104 not in table.by_ssrc


def test_what_is_learned_again_pushes_nothing_out(table):
    """RFC 9143 section 9.2: a MID moves an SSRC to another section; that is no SSRC more."""
    ssrcs = range(100, 100 + LEARNED_SSRCS_MAX)
    for ssrc in ssrcs:
        table.find(ssrc, "1", 96)
    for ssrc in (ssrcs[0], ssrcs[-1], ssrcs[5]):
        table.find(ssrc, "0", 111)
    assert sorted(table.learned) == list(ssrcs)
    assert table.learned[-3:] == (ssrcs[0], ssrcs[-1], ssrcs[5])
    assert {ssrc for ssrc in ssrcs if table.by_ssrc.get(ssrc) != "picture"} == {ssrcs[0], ssrcs[-1], ssrcs[5]}
