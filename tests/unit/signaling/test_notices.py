"""Signaling messages of no use, counted by kind."""

import logging

from rtcpeer import RTCPeerConnection
from rtcpeer.signaling import Negotiator, memory_pair
from rtcpeer.signaling.notices import Notices


def test_the_first_of_a_kind_is_logged_and_all_are_counted(caplog):
    notices = Notices("pc-1")
    assert str(notices) == ""
    with caplog.at_level(logging.WARNING):
        for text in ("one", "two"):
            notices.add("late candidate", text)
        notices.add("bad frame", "three")
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "pc-1 signaling, late candidate",
        "pc-1 signaling, bad frame",
    ]
    assert str(notices) == (
        "signaling messages that were of no use: 2 late candidate, 1 bad frame; the last one: three"
    )


def test_the_text_of_a_remote_side_is_cut_and_made_printable():
    notices = Notices()
    notices.add("bad frame", "\x1b[31m\n" + "x" * 1000)
    assert notices.last == " [31m " + "x" * 194


async def test_a_connection_is_named_in_the_log(caplog):
    async with RTCPeerConnection() as pc:
        local, remote = memory_pair()
        negotiator = Negotiator(pc, local, polite=True)
        with caplog.at_level(logging.WARNING):
            negotiator.notices.add("bad frame", "three")
        await negotiator.close()
        await remote.close()
        (record,) = caplog.records
        assert record.getMessage().split()[0] in repr(pc)
