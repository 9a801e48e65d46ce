"""A VideoRoom whose Janus lies, stalls, repeats and ends in the middle of each step."""

import asyncio
import json

import pytest
from aiohttp import WSMsgType, web

from rtcpeer.calls.events import Ended, ParticipantJoined, ParticipantLeft, Reconnected
from rtcpeer.calls.janus.channels import PublisherChannel, Stream, SubscriberChannel
from rtcpeer.calls.janus.session import JanusSession
from rtcpeer.calls.joining import join
from rtcpeer.calls.queue_channel import UNREAD_MAX
from rtcpeer.errors import InvalidStateError, NetworkError, RTCTimeoutError, SignalingRefused
from rtcpeer.signaling.glance import origin_untrusted
from rtcpeer.testing import no_leaks, synthetic_track
from tests.unit.calls.fakes import Diary
from tests.unit.calls.test_rooms import served


@pytest.fixture(autouse=True)
async def nothing_is_left():
    async with no_leaks(grace=3):
        yield


class FakeJanus:
    """Answers as a VideoRoom would; `change(step, answer)` may say something else, or raise to end the socket."""

    def __init__(self, change=lambda step, answer: [answer]):
        self.change = change
        self.steps = []
        self.sockets = []
        self.numbers = 0

    async def serve(self, request):
        socket = web.WebSocketResponse(protocols=("janus-protocol",))
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            step = asked["body"]["request"] if asked["janus"] == "message" else asked["janus"]
            self.steps.append(step)
            try:
                for answer in self.change(step, self.answer(step, asked)):
                    await socket.send_str(answer if isinstance(answer, str) else json.dumps(answer))
            except ConnectionError:
                break
        await socket.close()
        return socket

    def answer(self, step, asked):
        self.numbers += 1
        about = {"transaction": asked["transaction"], "session_id": 1, "sender": asked.get("handle_id")}
        if step in ("create", "attach"):
            return {"janus": "success", "data": {"id": self.numbers}, **about}
        data = {"videoroom": "event"}
        if step == "join":
            data = {"videoroom": "joined", "id": 77, "private_id": 5, "publishers": []}
        kind = (
            "event" if asked["janus"] == "message" else "success" if step in ("claim", "destroy") else "ack"
        )
        return {"janus": kind, "plugindata": {"data": data}, **about}

    def tell(self, data, **members):
        return self.sockets[-1].send_str(
            json.dumps({"janus": "event", "sender": 2, "plugindata": {"data": data}, **members})
        )


async def test_a_janus_that_forgets_the_session_again_and_again():
    """One session is made for what it says at once."""
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        for number in (1, 2):
            janus.steps.clear()
            for _ in range(20):
                await janus.sockets[-1].send_str('{"janus": "timeout", "session_id": 1}')
            await diary.get(Reconnected, number)
            assert janus.steps == ["create", "attach", "join"]
        assert not diary.of(Ended)
    await diary.task


async def test_a_fault_of_ours_ends_the_call(monkeypatch, caplog):
    """A call whose messages nobody reads any more would hang."""
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        monkeypatch.setattr(JanusSession, "_hear", lambda self, text: 1 / 0)
        await janus.tell({"videoroom": "event"})
        ended = await asyncio.wait_for(call.closed(), 20)
        assert (ended.reason, type(ended.error)) == ("signaling-ended", ZeroDivisionError)
        monkeypatch.undo()
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("step", ["create", "attach", "join"])
@pytest.mark.parametrize(
    "lie",
    [
        "end",
        "no json",
        "list",
        "no data",
        "error",
        "wrong error",
        "wrong id",
        "huge",
        "twice",
        "unknown first",
    ],
)
async def test_lies_in_each_step_of_entering(step, lie):
    def change(now, answer):
        if now != step:
            return [answer]
        if lie == "end":
            raise ConnectionError
        bare = {k: v for k, v in answer.items() if k not in ("data", "plugindata")}
        return {
            "no json": ["{", answer],
            "list": ["[1]", answer],
            "no data": [bare],
            "error": [{**bare, "janus": "error", "error": {"code": 403, "reason": "no"}}],
            "wrong error": [{**bare, "janus": "error", "error": 7}],
            "wrong id": [{**answer, "data": {"id": "x"}, "plugindata": {"data": {"videoroom": "joined"}}}],
            "huge": ["[" * 100_000, answer],
            "twice": [answer, answer],
            "unknown first": [{"janus": "what?"}, {"janus": "event", "sender": []}, answer],
        }[lie]

    async with served(FakeJanus(change).serve) as port:
        url = f"janus+ws://127.0.0.1:{port}/?room=1"
        if lie in ("no json", "list", "huge", "twice", "unknown first"):
            async with join(url) as call:
                assert call.id == "77"
        else:
            with pytest.raises((NetworkError, RTCTimeoutError)):
                await join(url, timeout=5)


async def test_a_refusal_names_the_number_once():
    def change(step, answer):
        bare = {k: v for k, v in answer.items() if k != "plugindata"}
        error = {"janus": "error", "error": {"code": 426, "reason": "No such room (1)"}}
        return [bare | error if step == "join" else answer]

    async with served(FakeJanus(change).serve) as port:
        with pytest.raises(
            SignalingRefused, match=r"^the signaling service refuses \(426\): No such room \(1\)$"
        ):
            await join(f"janus+ws://127.0.0.1:{port}/?room=1")


async def test_a_janus_that_stalls():
    async with served(FakeJanus(lambda step, answer: [] if step == "join" else [answer]).serve) as port:
        with pytest.raises(RTCTimeoutError):
            await join(f"janus+ws://127.0.0.1:{port}/?room=1", timeout=0.3)


async def test_nonsense_in_the_room():
    janus = FakeJanus()
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        for data in (
            {},
            {"publishers": 7},
            {"publishers": [{}, 3, {"id": None, "streams": "x"}]},
            {"attendees": {"id": 3}},
            {"joining": "x"},
            {"leaving": "nobody"},
            {"unpublished": []},
            {"publishers": [{"id": "a", "display": 7, "streams": [{"type": "video"}, 5]}]},
        ):
            await janus.tell({"videoroom": "event", **data})
        for frame in (
            {"janus": "ack", "transaction": []},
            {"janus": {"a": 1}, "sender": 2},
            {"janus": "success", "transaction": {}, "sender": True},
            {"janus": "trickle", "sender": 2, "candidate": {"candidate": 5, "sdpMLineIndex": []}},
            {"janus": "event", "sender": 2, "plugindata": {"data": {}}, "jsep": {"type": [], "sdp": 5}},
        ):
            await janus.sockets[-1].send_str(json.dumps(frame))
        await janus.sockets[-1].send_bytes(b"\x00")
        await janus.tell({"videoroom": "event", "joining": {"id": 5, "display": "Eve"}})
        await diary.get(ParticipantJoined, 3)
        assert [p.id for p in call.participants.values()] == ["None", "a", "5"]
        await janus.tell({"videoroom": "event", "leaving": 5})
        assert (await diary.get(ParticipantLeft)).participant.name == "Eve"
        await janus.tell({"videoroom": "destroyed"})
        assert (await diary.get(Ended)).reason == "room-closed"
        assert call.ignored["publisher without id"] == 1
        assert call.ignored["name"] == 1
    await diary.task
    assert janus.steps[-1] == "destroy"


@pytest.mark.parametrize("answer", ["refused", "nothing", "nonsense", "end"])
async def test_publishing_to_a_janus_that_lies(answer):
    def change(step, said):
        if step != "publish":
            return [said]
        if answer == "end":
            raise ConnectionError
        if answer == "refused":
            return [{**said, "plugindata": {"data": {"error_code": 432, "error": "full"}}}]
        jsep = {"type": "answer", "sdp": "nonsense"} if answer == "nonsense" else None
        return [{**said, "jsep": jsep}]

    janus = FakeJanus(change)
    voice = synthetic_track("audio")
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        await call.publish(voice)
        async with asyncio.timeout(20):
            while "publish" not in janus.steps:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert call.ended is None
        await call.send("waits")
    voice.stop()
    assert janus.steps.count("publish") <= 3


async def test_a_subscription_that_was_refused_is_tried_again(monkeypatch):
    """A publisher has just gone when we subscribe, and is back: the next attempt is another subscriber."""
    monkeypatch.setattr("rtcpeer.calls.janus.videoroom._RETRY", 0.05)
    joins = []

    def change(step, answer):
        if step == "join":
            joins.append(step)
            if len(joins) == 2:  # the first one is the publisher's
                return [{**answer, "plugindata": {"data": {"error_code": 428, "error": "No such feed"}}}]
        return [answer]

    janus = FakeJanus(change)
    async with served(janus.serve) as port, join(f"janus+ws://127.0.0.1:{port}/?room=1") as call:
        diary = Diary(call)
        streams = [{"type": "audio", "mid": "0"}]
        await janus.tell(
            {"videoroom": "event", "publishers": [{"id": 5, "display": "Eve", "streams": streams}]}
        )
        await diary.get(ParticipantJoined)
        async with asyncio.timeout(20):
            while len(joins) < 3:  # noqa: ASYNC110 (what changes has no event)
                await asyncio.sleep(0.01)
        assert call.ignored == {"subscription refused": 1}
        assert janus.steps.count("attach") == 3  # the publisher's, the refused one's, and another
        assert janus.steps.count("detach") == 1
    await diary.task


class FakeHandle:
    def __init__(self, *answers):
        self.id, self.is_gone, self.asked, self.answers = 1, False, [], list(answers)
        self.told = []

    async def ask(self, body, jsep=None):
        self.asked.append((body["request"], jsep and jsep["type"]))
        answer = self.answers.pop(0) if self.answers else ({}, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def trickle(self, candidates):
        self.told.append(candidates)

    async def detach(self):
        self.is_gone = True


def sdp(session, version=0):
    return f"v=0\r\no=- {session} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


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


async def test_what_the_url_and_the_options_say():
    with pytest.raises(ValueError, match="room=1234"):
        join("janus+ws://example.org/")
    with pytest.raises(TypeError, match="'colour'"):
        join("janus+ws://example.org/?room=1", colour=1)
    with pytest.raises(SignalingRefused):
        await raised()


async def raised():
    def change(step, answer):
        return (
            [{**answer, "plugindata": {"data": {"error_code": 426, "error": "No such room"}}}]
            if (step == "join")
            else [answer]
        )

    async with served(FakeJanus(change).serve) as port:
        await join(f"janus+ws://127.0.0.1:{port}/?room=1")
