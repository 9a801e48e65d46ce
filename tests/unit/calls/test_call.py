"""A call over a service that does as a test says."""

import asyncio

import pytest

from rtcpeer.calls.call import Call, Joining
from rtcpeer.calls.events import Ended, Message, ParticipantJoined
from rtcpeer.calls.request import JoinRequest
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.testing import no_leaks, run_virtual
from tests.unit.calls.fakes import Diary, FakeService, entered
from tests.unit.calls.test_host import Track


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=0):
        yield


async def test_orders_reach_the_service():
    service = FakeService()
    async with await entered(service, name="bot", metadata={"a": 1}) as call:
        voice, more = Track(), Track()
        first = await call.publish(voice)
        second = await call.publish(more)
        assert (call.id, first.name, second.name) == ("me", "audio", "audio-2")
        assert set(call.publications) == {"audio", "audio-2"}
        await first.mute()
        await first.mute()
        await first.unmute()
        await second.unpublish()
        await second.unpublish()
        service.host.participant_joined("b")
        await call.send("x")
        await call.send(b"y", "b")
        await call.send(b"z", call.participants["b"])
        await call.set_metadata({"a": 2})
        assert dict(call.metadata) == {"a": 2}
    assert service.orders == [
        ("enter",),
        ("publish", "audio"),
        ("publish", "audio-2"),
        ("mute", "audio", True),
        ("mute", "audio", False),
        ("unpublish", "audio-2"),
        ("send", "x", None),
        ("send", b"y", "b"),
        ("send", b"z", "b"),
        ("metadata", {"a": 2}),
    ]
    assert service.left == 1
    assert call.ended == Ended("left")
    assert voice.readyState == "live"


async def test_wrong_calls_change_nothing():
    service = FakeService()
    async with await entered(service) as call:
        await call.publish(Track(), name="voice")
        with pytest.raises(InvalidStateError, match="'voice' already"):
            await call.publish(Track(), name="voice")
        for bad in ("", "a b", "ü", "x" * 49, ".x"):
            with pytest.raises(ValueError, match="no name for a track"):
                await call.publish(Track(), name=bad)
        with pytest.raises(TypeError, match="takes a track"):
            await call.publish("microphone")
        with pytest.raises(InvalidStateError, match="no participant 'nobody'"):
            await call.send("x", "nobody")
        with pytest.raises(ValueError, match="at most 1048576 bytes"):
            await call.send("x" * 1_048_577)
        service.failure = NetworkError("lost", fault="network")
        with pytest.raises(NetworkError):
            await call.publish(Track(), name="other")
        assert set(call.publications) == {"voice"}
    for order in (call.publish(Track()), call.send("x"), call.set_metadata({})):
        with pytest.raises(InvalidStateError, match="the call is over: left"):
            await order


async def test_the_service_ends_the_call():
    service = FakeService()
    call = await entered(service)
    diary = Diary(call)
    service.host.participant_joined("b")
    service.host.spawn(asyncio.sleep(1000), "work")
    service.host.message("b", "bye")
    service.host.ended("room-closed")
    assert (await call.closed()).reason == "room-closed"
    await diary.task
    assert isinstance(diary.events[0], ParticipantJoined)
    assert isinstance(diary.of(Message)[0].data, str)
    assert diary.events[-1] == Ended("room-closed")
    await call.close()
    await call.leave()
    assert service.left == 1


async def test_entering_fails_and_leaves_nothing():
    service = FakeService()
    service.failure = SignalingRefused("full", fatal=True)
    with pytest.raises(SignalingRefused, match="full"):
        await entered(service)
    assert service.left == 1


def test_entering_is_bounded_in_time():
    async def main():
        service = FakeService()
        service.hang = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(RTCTimeoutError, match=r"ws://example\.org/ was not entered within 15 s"):
            await entered(service)
        assert asyncio.get_running_loop().time() - began == pytest.approx(15)
        assert service.left == 1

    run_virtual(main())


def test_leaving_is_bounded_in_time(caplog):
    class Stuck(FakeService):
        async def leave(self):
            await asyncio.get_running_loop().create_future()

    async def main():
        call = await entered(Stuck())
        await call.close()

    run_virtual(main())
    assert "was not left within 8 s" in caplog.text


async def test_cancelled_while_entering():
    service = FakeService()
    service.hang = True
    task = asyncio.ensure_future(entered(service))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert service.left == 1


async def test_joining_once():
    joining = Joining(JoinRequest("ws://example.org/"), FakeService())
    async with joining as call:
        assert isinstance(call, Call)
        with pytest.raises(InvalidStateError, match="entered before"):
            await joining
    assert call.ended is not None
