"""Channels of handles: what goes to which request, and whose answer it is."""

import asyncio

import pytest

from rtcpeer.calls.janus.channels import PublisherChannel, Stream, SubscriberChannel
from rtcpeer.calls.janus.session import JanusError
from rtcpeer.calls.queue_channel import UNREAD_MAX
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError
from rtcpeer.signaling.glance import origin_untrusted
from tests.unit.calls.janus.fakes import FakeHandle, sdp


async def test_a_publisher_channel_keeps_the_session_of_one_connection():
    answers = [({}, {"type": "answer", "sdp": sdp(n)}) for n in (5, 9)]
    handle = FakeHandle(*answers, ({}, None), ({}, {"type": "answer", "sdp": sdp(7)}))
    channel = PublisherChannel(handle, lambda: [])
    await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1, 1)})
    first, second = await anext(channel), await anext(channel)
    one, two = origin_untrusted(first["sdp"]), origin_untrusted(second["sdp"])
    assert one[0] == two[0]
    assert two[1] == one[1] + 1
    task = asyncio.ensure_future(channel.send({"type": "offer", "sdp": sdp(2)}))
    await asyncio.sleep(0)
    channel.hung_up()
    await task
    assert origin_untrusted((await anext(channel))["sdp"])[0] != one[0]
    assert [kind for kind, _ in handle.asked] == ["publish", "configure", "unpublish", "publish"]
    with pytest.raises(InvalidStateError, match="sends offers"):
        await channel.send({"type": "answer", "sdp": sdp(1)})
    handle.is_gone = True
    with pytest.raises(NetworkError, match="no handle"):
        await channel.send({"candidate": "x"})
    await channel.close()
    with pytest.raises(InvalidStateError, match="closed"):
        await channel.send({"type": "offer", "sdp": sdp(1)})


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr("rtcpeer.calls.janus.channels._HANGUP_TIME", 0.01)
    monkeypatch.setattr("rtcpeer.calls.janus.channels._DISPOSAL_TIME", 0.01)


NOTHING = sdp(1) + "a=ice-ufrag:(null)\r\na=ice-pwd:(null)\r\n"


@pytest.mark.usefixtures("no_pauses")
async def test_a_connection_that_has_never_stood_is_taken_back_all_the_same():
    """The plugin says that nothing is published; the core of Janus has the half of a connection."""
    answer = ({}, {"type": "answer", "sdp": sdp(5)})
    handle = FakeHandle(answer, JanusError(435, "Can't unpublish, not published"), answer)
    channel = PublisherChannel(handle, list)
    await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(2)})
    assert [kind for kind, _ in handle.asked] == ["publish", "unpublish", "hangup", "publish"]
    handle.answers.append(JanusError(426, "No such room"))
    with pytest.raises(JanusError):
        await channel.send({"type": "offer", "sdp": sdp(3)})


@pytest.mark.usefixtures("no_pauses")
async def test_an_answer_without_credentials_is_none():
    """Janus has disposed of the new connection's agent in place of the former one's."""
    handle = FakeHandle(
        ({}, {"type": "answer", "sdp": NOTHING}),
        JanusError(435, "Can't unpublish, not published"),
        ({}, {"type": "answer", "sdp": sdp(5)}),
    )
    channel = PublisherChannel(handle, list)
    with pytest.raises(NetworkError, match="had closed"):
        await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1)})  # as the negotiator repeats it
    assert [kind for kind, _ in handle.asked] == ["publish", "unpublish", "hangup", "publish"]
    assert (await anext(channel))["type"] == "answer"


@pytest.mark.usefixtures("no_pauses")
async def test_an_offer_whose_answer_was_lost_may_be_in_force():
    """So the same offer again is a change, and that of another connection takes it back."""
    answer = ({}, {"type": "answer", "sdp": sdp(5)})
    lost = RTCTimeoutError("no answer")
    handle = FakeHandle(lost, answer, answer, lost, answer, answer)
    channel = PublisherChannel(handle, list)
    with pytest.raises(NetworkError):
        await channel.send({"type": "offer", "sdp": sdp(1)})
    await channel.send({"type": "offer", "sdp": sdp(1)})
    with pytest.raises(NetworkError):
        await channel.send({"type": "offer", "sdp": sdp(2)})
    await channel.send({"type": "offer", "sdp": sdp(3)})
    asked = [kind for kind, _ in handle.asked]
    assert asked == ["publish", "configure", "unpublish", "publish", "unpublish", "publish"]


async def test_an_answer_to_the_former_handle_is_not_given_to_the_next_one():
    channel = SubscriberChannel(lambda: None)
    old, new = FakeHandle(), FakeHandle()
    channel.take_over(old)
    channel.offer(sdp(1), {})
    before = await anext(channel)
    channel.take_over(new)
    channel.offer(sdp(1), {})
    after = await anext(channel)
    for offer in (before, after):
        session, version = origin_untrusted(offer["sdp"])
        await channel.send({"type": "answer", "sdp": sdp(3), "answerTo": f"{session} {version}"})
    assert (old.asked, new.asked) == ([], [("start", "answer")])
    assert old.is_gone


async def test_a_subscriber_channel_renews_when_restarts_do_not_help():
    renewed, negotiated = [], []

    async def renew():
        renewed.append(True)

    channel = SubscriberChannel(renew, negotiated.append)
    old, new = FakeHandle(), FakeHandle()
    channel.take_over(old)
    sections = {"0": Stream("a", "0", "voice", 4)}
    channel.offer(sdp(1), sections)
    message = await anext(channel)
    assert message["supervised"] == {"peer": "janus", "senders": {"0": 4}}
    assert negotiated == [sections]
    for _ in range(3):
        await channel.request_restart()
    assert (old.asked, renewed) == ([("configure", None)] * 2, [True])
    channel.take_over(new)
    await channel.send({"type": "answer", "sdp": sdp(3)})
    assert old.is_gone
    with pytest.raises(InvalidStateError, match="sends answers"):
        await channel.send({"type": "offer", "sdp": sdp(3)})
    for _ in range(1000):
        new.on_candidate({"candidate": "candidate:x"})
    assert len(channel._inbox.items) <= UNREAD_MAX
    await channel.close()


async def test_offers_that_nobody_has_read_leave_nothing():
    """They are dropped, and what their sections are with them: no later message is taken for one of them."""
    negotiated = []
    channel, handle = SubscriberChannel(lambda: None, negotiated.append), FakeHandle()
    channel.take_over(handle)
    for _ in range(2 * UNREAD_MAX):
        channel.offer(sdp(1), {"0": Stream("a", "0", "voice", 4)})
    for _ in range(UNREAD_MAX):
        handle.on_candidate({"candidate": "candidate:x"})
    for _ in range(UNREAD_MAX):
        assert "candidate" in await anext(channel)
    assert negotiated == []
    channel.offer(sdp(1), {})
    await anext(channel)
    assert negotiated == [{}]
